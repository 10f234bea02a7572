"""s3proxy: the S3 API over a folder, path-style, with the stack's own credentials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tools.stack import probes
from tools.stack.errors import StackError
from tools.stack.ports import LOOPBACK
from tools.stack.service import Place, Recovery, jvm, write_properties

_HEAP_MB = 128
_BUCKET = "melisma"
_REGION = "us-east-1"

# The bytes that it takes in one signed, unchunked request are held in memory; its default of
# 128 MiB does not fit the heap.
_LARGEST_SIGNED_BODY_BYTES = 32 << 20


class S3:
    """The artifacts of the product."""

    name = "s3"
    title = "s3proxy"
    java = (17, 25)
    purposes = ("client",)

    def configure(self, place: Place) -> None:
        # A bucket of this backend is a folder; making it here saves every user a call.
        bucket = place.data / _BUCKET
        bucket.mkdir(parents=True, exist_ok=True)
        # The backend takes a folder that the world may read for a bucket that the world may list.
        bucket.chmod(0o700)
        write_properties(place.config / "s3proxy.properties", proxy_properties(place))

    def format_arguments(self, place: Place, jars: Path) -> Sequence[str] | None:
        return None

    def arguments(self, place: Place, jars: Path) -> Sequence[str]:
        jar = next(jars.glob("s3proxy-*.jar"), None)
        if jar is None:
            raise StackError(f"the jars of s3proxy are not whole; remove {jars}, run `up` again")
        return [
            *jvm(place, heap_mb=_HEAP_MB, quick_start=True),
            *("-cp", str(jar), "org.gaul.s3proxy.Main"),
            *("--properties", str(place.config / "s3proxy.properties")),
        ]

    def recovery(self, place: Place, jars: Path) -> Recovery | None:
        return None

    def is_ready(self, place: Place) -> bool:
        return probes.http_status(place.port("client"), "/") is not None

    def environment(self, places: Sequence[Place]) -> Mapping[str, str]:
        state = places[0].state
        return {
            "S3_ENDPOINT": f"http://{LOOPBACK}:{places[0].port('client')}",
            "S3_ACCESS_KEY": state.access_key,
            "S3_SECRET_KEY": state.secret_key,
            "S3_BUCKET": _BUCKET,
            "S3_REGION": _REGION,
            # It hands out no sessions that an address could be bound to (topics.artifacts).
            "IP_BINDING": "report",
        }


def proxy_properties(place: Place) -> dict[str, object]:
    """s3proxy's settings, with why. Without a virtual host it serves path-style addresses."""
    return {
        "s3proxy.endpoint": f"http://{LOOPBACK}:{place.port('client')}",
        "s3proxy.authorization": "aws-v2-or-v4",
        "s3proxy.identity": place.state.access_key,
        "s3proxy.credential": place.state.secret_key,
        "s3proxy.v4-max-non-chunked-request-size": _LARGEST_SIGNED_BODY_BYTES,
        # Browsers put the parts themselves, and must be allowed to read the ETag of each.
        "s3proxy.cors-allow-origins": ".*",
        "s3proxy.cors-allow-methods": "GET HEAD PUT POST DELETE",
        "s3proxy.cors-allow-headers": "*",
        "s3proxy.cors-exposed-headers": "ETag Content-Range Accept-Ranges",
        "jclouds.provider": "filesystem-nio2",
        "jclouds.filesystem.basedir": place.data,
        # The backend wants both and checks neither.
        "jclouds.identity": "unused",
        "jclouds.credential": "unused",
        **place.settings,
    }
