"""The S3 client, configured so that one setting fits every server, and what its errors mean."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import boto3
from botocore.compat import get_current_datetime
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
    SSLError,
)
from botocore.exceptions import ConnectionError as CannotConnect

from topics.artifacts.protocol import ArtifactError, StoreFull
from topics.artifacts.s3_settings import S3Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sts import STSClient

POOL: Final = 32  # connections; more threads than a gateway or a worker has at the store at once

_FULL: Final = frozenset(
    {"XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "QuotaExceeded", "StorageFull"}
)
_REFUSED: Final = frozenset(
    {
        "403",
        "AccessDenied",
        "ExpiredToken",
        "Forbidden",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidToken",
        "SignatureDoesNotMatch",
        "UnauthorizedAccess",
    }
)
_ELSEWHERE: Final = frozenset(
    {"301", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}
    | {"InvalidRegion", "PermanentRedirect"}
)
_MISSING: Final = frozenset({"404", "NoSuchKey", "NoSuchUpload", "NotFound"})
_SKEW_S: Final = 900  # AWS and its likes take no request further from their own time
_HTTP_FULL: Final = 507  # RFC 4918, 11.5


# At DEBUG they write requests and answers down whole, and with them signatures and the credentials
# of sessions.
for _name in ("boto3", "botocore", "urllib3"):
    logging.getLogger(_name).setLevel(logging.INFO)


def session(settings: S3Settings) -> boto3.Session:
    """A session of these credentials; of the machine's own where none are set."""
    return boto3.Session(
        aws_access_key_id=settings.s3_access_key or None,
        aws_secret_access_key=settings.s3_secret_key.get_secret_value() or None,
        region_name=settings.s3_region,
    )


def s3_client(
    settings: S3Settings, made_in: boto3.Session, *, longest_s: float | None = None
) -> S3Client:
    """A client; with ``longest_s`` one that gives up after about that time instead of trying
    again. Raises `ArtifactError` for an address that is none."""
    with explained(settings, "use the store"):
        return made_in.client(
            "s3",
            endpoint_url=settings.s3_endpoint or None,
            verify=settings.s3_ca_file or None,
            config=_config(settings, longest_s),
        )


def sts_client(settings: S3Settings, made_in: boto3.Session) -> STSClient:
    """A client of the service that hands out sessions."""
    with explained(settings, "use its STS", endpoint="S3_STS_ENDPOINT"):
        return made_in.client(
            "sts",
            endpoint_url=settings.s3_sts_endpoint or None,
            verify=settings.s3_ca_file or None,
            config=_config(settings, None),
        )


def _config(settings: S3Settings, longest_s: float | None) -> Config:
    connect_s, read_s, attempts = (
        settings.s3_connect_timeout_seconds,
        settings.s3_read_timeout_seconds,
        settings.s3_attempts,
    )
    if longest_s is not None:
        connect_s, read_s, attempts = longest_s / 2, longest_s / 2, 1
    return Config(
        signature_version="s3v4",  # B2 and R2 take no other
        connect_timeout=connect_s,
        read_timeout=read_s,
        # "standard" pauses 0 to 1, 2, 4 … 20 s between tries and knows which errors pass.
        retries={"mode": "standard", "total_max_attempts": attempts},
        s3={"addressing_style": "path" if settings.s3_path_style else "virtual"},
        # Since boto3 1.36 a CRC32 is sent by default, in a trailer that several S3-compatible
        # servers refuse. We send Content-MD5, which all of them check.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        max_pool_connections=POOL,
        tcp_keepalive=True,  # a step may hold a connection for minutes between two requests
        user_agent_extra="melisma",
    )


def code_of(error: ClientError) -> str:
    """The server's word for what went wrong; of a HEAD, which has no body, the HTTP status."""
    return str(error.response.get("Error", {}).get("Code", ""))


def is_missing(error: ClientError) -> bool:
    """There is no such object or upload."""
    return code_of(error) in _MISSING


@contextmanager
def explained(
    settings: S3Settings, doing: str, *, endpoint: str = "S3_ENDPOINT", keys: str = ""
) -> Iterator[None]:
    """Turn the client's errors into `ArtifactError`: what happened, and which setting to look at.

    ``doing`` completes "cannot …"; ``endpoint`` and ``keys`` name the settings that are used.
    """
    keys = keys or "S3_ACCESS_KEY and S3_SECRET_KEY"
    try:
        yield
    except ClientError as error:
        raise _of_answer(settings, error, doing, keys) from error
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise ArtifactError(
            f"artifacts: S3 cannot {doing}: this machine has no credentials; set {keys}"
        ) from error
    except SSLError as error:
        raise ArtifactError(
            f"artifacts: S3 cannot {doing}: the certificate of {_address(settings, endpoint)} is "
            f"not trusted; check {endpoint} and S3_CA_FILE"
        ) from error
    except (CannotConnect, HTTPClientError) as error:
        raise ArtifactError(
            f"artifacts: S3 cannot {doing}: {_address(settings, endpoint)} does not answer "
            f"({type(error).__name__}); check {endpoint} and that the server runs"
        ) from error
    except (BotoCoreError, ValueError) as error:
        raise ArtifactError(
            f"artifacts: S3 cannot {doing} ({type(error).__name__}); check {endpoint}, S3_REGION "
            "and S3_BUCKET"
        ) from error


def _of_answer(settings: S3Settings, error: ClientError, doing: str, keys: str) -> ArtifactError:
    code = code_of(error)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    if code in _FULL or status == _HTTP_FULL:
        return StoreFull(
            f"artifacts: S3 cannot {doing}: the store is full ({code}); nothing of it was kept: "
            "free or add space, then try again"
        )
    if code == "NoSuchBucket":
        why = f"there is no bucket '{settings.s3_bucket}'; make it, or check S3_BUCKET"
    elif code == "RequestTimeTooSkewed" or (code in _REFUSED and _clock_is_off(error)):
        why = (
            "this machine's clock and the server's differ too much for signatures "
            f"({code}); set the clock (NTP)"
        )
    elif code in _ELSEWHERE:
        why = f"bucket '{settings.s3_bucket}' is not in '{settings.s3_region}'; check S3_REGION"
    elif code in _REFUSED:
        why = f"it is refused ({code}); check {keys}, and what they may do in S3_BUCKET"
    else:
        why = f"the server answers {code or status}; see its log, then try again"
    return ArtifactError(f"artifacts: S3 cannot {doing}: {why}")


def _clock_is_off(error: ClientError) -> bool:
    """Whether the server's date is further from ours than signatures may be: a HEAD is refused for
    that without a word, and several servers say AccessDenied."""
    said = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")
    try:
        theirs = parsedate_to_datetime(said)
    except ValueError:
        return False
    return abs((get_current_datetime(remove_tzinfo=False) - theirs).total_seconds()) > _SKEW_S


def _address(settings: S3Settings, endpoint: str) -> str:
    given = settings.s3_sts_endpoint if endpoint == "S3_STS_ENDPOINT" else settings.s3_endpoint
    if not given:
        return f"AWS in {settings.s3_region}"
    parts = urlsplit(given)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}"  # without what may stand before an @
