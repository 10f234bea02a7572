"""The client's calls for webhook endpoints: ``client.webhooks``."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gateway.client_calls import Calls, Json


class Webhooks:
    """Endpoints of the client's tenant. Each call raises `Refused` and `Unreachable`."""

    def __init__(self, calls: Calls, new_key: Callable[[], str]) -> None:
        self._calls = calls
        self._new_key = new_key

    def endpoints(self) -> list[Json]:
        """All of them, oldest first."""
        found: list[Json] = []
        query: dict[str, str] = {}
        while True:
            page: Json = self._calls.ask("GET", "/v1/webhook-endpoints", params=query).json()
            found += page["endpoints"]
            if not page.get("cursor"):
                return found
            query = {"cursor": page["cursor"]}

    def create(self, url: str, *, types: Sequence[str] = (), description: str = "") -> Json:
        """Make an endpoint that is told of ``types``, all when there are none; with its secret."""
        return self._post("", {"url": url, "types": list(types), "description": description})

    def pause(self, endpoint_id: str) -> Json:
        """Keep what comes for later."""
        return self._post(f"/{endpoint_id}/pause")

    def resume(self, endpoint_id: str) -> Json:
        """Call it again, with what it was owed."""
        return self._post(f"/{endpoint_id}/resume")

    def rotate(self, endpoint_id: str, *, overlap_s: int | None = None) -> Json:
        """A new secret: ``{secret, secretNumber}``. The old one signs beside it meanwhile."""
        body = None if overlap_s is None else {"overlapSeconds": overlap_s}
        return self._post(f"/{endpoint_id}/rotate-secret", body)

    def test(self, endpoint_id: str) -> Json:
        """Send it a ``webhook.test``: ``{messageId}``."""
        return self._post(f"/{endpoint_id}/test")

    def attempts(self, endpoint_id: str, *, message_id: str = "", limit: int = 50) -> list[Json]:
        """Attempts at deliveries, newest first: those of one message where it is named."""
        query: dict[str, str | int] = {"limit": limit}
        if message_id:
            query["messageId"] = message_id
        path = f"/v1/webhook-endpoints/{endpoint_id}/attempts"
        found: list[Json] = self._calls.ask("GET", path, params=query).json()["attempts"]
        return found

    def delete(self, endpoint_id: str) -> None:
        """Remove it; what is still owed to it is dropped."""
        self._calls.ask("DELETE", f"/v1/webhook-endpoints/{endpoint_id}")

    def _post(self, path: str, body: Json | None = None) -> Json:
        headers = {"Idempotency-Key": self._new_key()}
        answer = self._calls.ask("POST", f"/v1/webhook-endpoints{path}", json=body, headers=headers)
        made: Json = answer.json()
        return made
