"""Schema ids from a Confluent-compatible registry.

Subjects follow the topic-name strategy: the values of topic ``separated`` are registered as
``separated-value``. Services only look up; provisioning registers (``melisma topics apply``).
API: https://docs.confluent.io/platform/current/schema-registry/develop/api.html
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import httpx
from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from schemas import avsc
from topics.codec import Poison
from topics.log import LogError

_REQUEST_S: Final = 5.0
PATIENCE_S: Final = 15.0  # a registry restarts in about 5 s
_AGAIN_S: Final = 0.25
_LARGEST_ID: Final = 2**31 - 1  # ids are Java ints; a registry answers larger ones with an error
_COMPATIBILITY: Final = "FULL_TRANSITIVE"
_MEDIA_TYPE: Final = "application/vnd.schemaregistry.v1+json"


class RegistrySettings(BaseSettings):
    """The schema registry; empty numbers schemas locally, the same in every process."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", frozen=True)

    schema_registry_url: str = Field(
        default="",
        description="Address of a Confluent-compatible schema registry (Apicurio: with "
        "/apis/ccompat/v7); empty: ids are computed from the schemas.",
    )
    schema_registry_username: str = Field(
        default="", description="User of the registry, for basic authentication."
    )
    schema_registry_password: SecretStr = Field(
        default=SecretStr(""), description="Password of that user."
    )
    schema_registry_ca_location: str = Field(
        default="", description="File of the authorities that sign the registry (PEM)."
    )


class RegistryError(LogError):
    """The registry could not be asked, or refused. Trying again later may help."""


class Unregistered(RegistryError):
    """The registry does not have a schema that we write with. Provisioning registers it."""


class Incompatible(RegistryError):
    """The registry refuses a schema, because readers or writers of older ones would break."""


class RegistryIds:
    """A `topics.codec.SchemaIds` over a registry. Thread-safe; everything found is remembered."""

    def __init__(
        self,
        settings: RegistrySettings,
        *,
        prefix: str = "",
        register: bool = False,
        patience_s: float = PATIENCE_S,
        monotonic_s: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """``prefix`` stands before every topic on the log; ``register`` adds what is missing;
        ``patience_s`` is how long a registry that does not answer is waited for."""
        self._prefix = prefix
        self._register = register
        self._patience_s = patience_s
        self._monotonic_s = monotonic_s
        self._sleep = sleep
        self._lock = threading.Lock()
        self._ids: dict[str, int] = {}
        self._schemas: dict[int, avsc.Schema] = {}
        user = settings.schema_registry_username
        self._url = settings.schema_registry_url.rstrip("/")
        self._http = httpx.Client(
            timeout=_REQUEST_S,
            headers={"Accept": f"{_MEDIA_TYPE}, application/json", "Content-Type": _MEDIA_TYPE},
            auth=(user, settings.schema_registry_password.get_secret_value()) if user else None,
            verify=_trust(settings.schema_registry_ca_location),
        )

    def id_of(self, topic: str) -> int:
        """The id of the topic's current schema. Raises `Unregistered`, `RegistryError`."""
        if (known := self._ids.get(topic)) is not None:  # waits for nobody who is asking
            return known
        with self._lock:
            if topic not in self._ids:
                schema = avsc.current(topic)
                found = self._register_all(topic) if self._register else self._find(topic, schema)
                if found is None:
                    raise Unregistered(
                        f"registry: the current schema of topic '{topic}' is not registered as "
                        f"'{self._subject(topic)}' at SCHEMA_REGISTRY_URL={self._url}; register it "
                        "(melisma topics apply)"
                    )
                self._ids[topic] = found
                self._schemas[found] = schema
            return self._ids[topic]

    def schema_of(self, schema_id: int) -> avsc.Schema:
        """The schema that a writer used. Raises `Poison` for an id that the registry does not
        know, `RegistryError` when it cannot be asked."""
        if (known := self._schemas.get(schema_id)) is not None:
            return known
        with self._lock:
            if schema_id not in self._schemas:
                if not 0 < schema_id <= _LARGEST_ID:
                    raise Poison(f"schema id {schema_id} is none that a registry gives")
                answer = self._ask("GET", f"/schemas/ids/{schema_id}")
                if answer is None:
                    raise Poison(f"schema id {schema_id} is not in the registry at {self._url}")
                schema = json.loads(answer["schema"])
                if not isinstance(schema, dict) or answer.get("schemaType", "AVRO") != "AVRO":
                    raise Poison(f"schema id {schema_id} is not the Avro record of an event")
                self._schemas[schema_id] = schema
            return self._schemas[schema_id]

    def close(self) -> None:
        """Let go of the connection."""
        self._http.close()

    def _subject(self, topic: str) -> str:
        return f"{self._prefix}{topic}-value"

    def _find(self, topic: str, schema: avsc.Schema) -> int | None:
        answer = self._ask("POST", f"/subjects/{self._subject(topic)}?normalize=true", schema)
        return None if answer is None else int(answer["id"])

    def _register_all(self, topic: str) -> int:
        """Every version of the topic's schema, the oldest first; the id of the current one."""
        subject = self._subject(topic)
        missing = [s for s in avsc.history(topic) if self._find(topic, s) is None]
        if missing:
            self._ask("PUT", f"/config/{subject}", {"compatibility": _COMPATIBILITY})
        for schema in avsc.history(topic):
            if schema in missing:
                path = f"/subjects/{subject}/versions?normalize=true"
                if self._ask("POST", path, schema) is None:
                    raise RegistryError(f"registry: {self._url} takes no subject '{subject}'")
        found = self._find(topic, avsc.current(topic))
        if found is None:
            raise RegistryError(
                f"registry: {self._url} does not find what it was just given for '{subject}'"
            )
        return found

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """The answer; None for 404. Waits for a registry that is down, for as long as allowed."""
        content = body
        if body is not None and path.startswith("/subjects/"):
            content = {"schema": json.dumps(body, separators=(",", ":")), "schemaType": "AVRO"}
        deadline = self._monotonic_s() + self._patience_s
        while True:
            try:
                response = self._http.request(method, self._url + path, json=content)
                if response.status_code < 500 and response.status_code != 429:
                    return self._read(response, path)
                trouble = f"answers {response.status_code}"
            except (httpx.TransportError, httpx.InvalidURL) as error:
                trouble = f"does not answer ({type(error).__name__}: {error})"
            if self._monotonic_s() >= deadline:
                raise RegistryError(
                    f"registry: {self._url} {trouble} on {path.partition('?')[0]}; check "
                    "SCHEMA_REGISTRY_URL and that the registry runs"
                )
            self._sleep(_AGAIN_S)

    def _read(self, response: httpx.Response, path: str) -> Any:
        if response.is_success:
            try:
                return response.json()
            except ValueError:
                raise RegistryError(
                    f"registry: {self._url} answers something else than JSON; SCHEMA_REGISTRY_URL "
                    "must name the Confluent-compatible API (Apicurio: /apis/ccompat/v7)"
                ) from None
        said = _said(response)
        if response.status_code == 404:
            if "error_code" not in said:
                raise RegistryError(
                    f"registry: there is no schema registry at {self._url} (404); "
                    "SCHEMA_REGISTRY_URL must name the Confluent-compatible API (Apicurio: "
                    "/apis/ccompat/v7)"
                )
            return None
        message = said.get("message", "")
        if response.status_code in (401, 403):
            raise RegistryError(
                f"registry: {self._url} refuses us ({response.status_code}); check "
                "SCHEMA_REGISTRY_USERNAME and SCHEMA_REGISTRY_PASSWORD"
            )
        if response.status_code == 409:
            raise Incompatible(
                f"registry: {path.split('/')[2]} refuses a schema, {_COMPATIBILITY} is broken: "
                f"{message}; add fields with defaults, rename nothing"
            )
        raise RegistryError(
            f"registry: {self._url} answers {response.status_code} on {path.partition('?')[0]}: "
            f"{message}"
        )


def _said(response: httpx.Response) -> dict[str, Any]:
    try:
        said = response.json()
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _trust(ca_location: str) -> Any:
    if not ca_location:
        return True
    import ssl

    try:
        return ssl.create_default_context(cafile=ca_location)
    except OSError as error:
        raise RegistryError(
            f"registry: SCHEMA_REGISTRY_CA_LOCATION '{ca_location}' cannot be read: {error}"
        ) from error
