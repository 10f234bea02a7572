"""Presigned S3 URLs, and credentials that work from one address only.

``IP_BINDING`` on S3:

- ``enforce``: the URL is signed with credentials of an STS session whose policy allows nothing
  from another address than the client's (``aws:SourceIp``). The server refuses others with 403.
  Sessions live 15 minutes at least; ``X-Amz-Expires`` makes the URL end sooner. What the server
  takes for the client's address decides: MinIO believes ``X-Forwarded-For`` whoever sends it, so
  it must stand behind a proxy that sets that header anew; through an AWS VPC endpoint requests
  carry no ``aws:SourceIp`` and are refused; a client with IPv4 to the gateway and IPv6 to the
  store is refused, so offer both or neither the same families.
- ``report``: the bytes never pass the gateway, so it cannot see who comes. The URL carries the
  address in ``x-melisma-address``, a parameter that S3 ignores, covers by the signature and writes
  to its access log beside the address that came: a line whose two addresses differ is the report.
- ``off``: neither.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit

from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from topics.artifacts.protocol import ArtifactError, SignedUrl
from topics.artifacts.s3_client import explained, sts_client
from topics.artifacts.s3_settings import S3Settings
from topics.artifacts.signing import IpBinding, Method, normal_ip

if TYPE_CHECKING:
    import boto3
    from mypy_boto3_sts import STSClient

REPORTED_ADDRESS: Final = "x-melisma-address"
"""S3 ignores parameters that begin with ``x-`` and keeps them in its access log (AWS, "Customizing
access log information using query string parameters")."""

_SESSION_S: Final = 3600  # a role's default longest; STS gives no less than 900
_MARGIN_S: Final = 60  # clocks differ a little
_MOST_SESSIONS: Final = 4096  # addresses at once; about 4 MB
_NO_ROLE: Final = "arn:aws:iam::000000000000:role/melisma"  # MinIO ignores it, boto3 wants one


@dataclass(frozen=True, slots=True)
class Origin:
    """Where clients find the objects of a bucket."""

    url: str  # of the server, without the bucket
    bucket: str
    region: str
    path_style: bool

    def url_of(self, key: str) -> str:
        """The address of an object, unsigned."""
        parts = urlsplit(self.url)
        base = self.url.rstrip("/")
        if self.path_style:
            base = f"{base}/{self.bucket}"
        else:
            base = f"{parts.scheme}://{self.bucket}.{parts.netloc}{parts.path.rstrip('/')}"
        return f"{base}/{quote(key, safe='/')}"


class Signer:
    """Signs the URLs of a bucket, bound to an address as ``ip_binding`` says."""

    def __init__(
        self,
        settings: S3Settings,
        made_in: boto3.Session,
        origin: Origin,
        ip_binding: IpBinding,
        clock: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._session = made_in
        self._origin = origin
        self._ip_binding: IpBinding = ip_binding
        self._clock = clock
        self._sessions = Sessions(settings, lambda: sts_client(settings, made_in), clock)

    def sign(
        self,
        method: Method,
        key: str,
        parameters: Mapping[str, str],
        *,
        ttl_s: int,
        ip: str | None,
        length: int | None = None,
    ) -> SignedUrl:
        """A URL for one request; ``ip`` None binds to no address. Raises `ArtifactError`."""
        bound = ip if self._ip_binding == "enforce" else None
        if ip is not None and self._ip_binding == "report":
            parameters = {**parameters, REPORTED_ADDRESS: normal_ip(ip)}
        if bound is not None:
            credentials = self._sessions.credentials(bound, key, ttl_s)
        else:
            credentials = self._own_credentials()
        url = presigned(
            method, self._origin, key, parameters, credentials, ttl_s=ttl_s, length=length
        )
        return SignedUrl(url, (int(self._clock()) + ttl_s) * 1000)

    def _own_credentials(self) -> Credentials:
        with explained(self._settings, "sign URLs"):
            own = self._session.get_credentials()
            if own is None:
                raise ArtifactError(
                    "artifacts: S3 cannot sign URLs: this machine has no credentials; set "
                    "S3_ACCESS_KEY and S3_SECRET_KEY"
                )
            frozen = own.get_frozen_credentials()  # those of a role are renewed here
        return Credentials(str(frozen.access_key), str(frozen.secret_key), frozen.token)


def presigned(
    method: Method,
    origin: Origin,
    key: str,
    parameters: Mapping[str, str],
    credentials: Credentials,
    *,
    ttl_s: int,
    length: int | None = None,
) -> str:
    """A URL that allows one request for ``ttl_s`` seconds from now (SigV4 in the query). With
    ``length`` the body must be exactly so many bytes long."""
    request = AWSRequest(method=method, url=origin.url_of(key), params=dict(parameters))
    if length is not None:
        request.headers["Content-Length"] = str(length)
    S3SigV4QueryAuth(credentials, "s3", origin.region, expires=ttl_s).add_auth(request)
    return str(request.url)


@dataclass(frozen=True, slots=True)
class _Session:
    credentials: Credentials
    expires_s: float  # Unix time


class Sessions:
    """Credentials bound to an address and to the keys under one folder, kept until they end."""

    def __init__(
        self, settings: S3Settings, make_client: Callable[[], STSClient], clock: Callable[[], float]
    ) -> None:
        self._settings = settings
        self._make_client = make_client
        self._client: STSClient | None = None
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, str], _Session] = OrderedDict()

    def credentials(self, ip: str, key: str, ttl_s: int) -> Credentials:
        """Credentials for a key, of use from ``ip`` only and for ``ttl_s`` more seconds at least.

        Raises `ArtifactError`, `ValueError` for what is no address.
        """
        address = normal_ip(ip)
        folder, inside, _ = key.partition("/")
        scope = f"{folder}/*" if inside else key
        with self._lock:
            kept = self._kept.get((address, scope))
            if kept is not None and kept.expires_s - self._clock() >= ttl_s + _MARGIN_S:
                self._kept.move_to_end((address, scope))
                return kept.credentials
        made = self._assume(address, scope, ttl_s)
        with self._lock:
            self._kept[address, scope] = made
            while len(self._kept) > _MOST_SESSIONS:
                self._kept.popitem(last=False)
        return made.credentials

    def _assume(self, address: str, scope: str, ttl_s: int) -> _Session:
        settings = self._settings
        with explained(
            settings,
            "bind a URL to its client's address",
            endpoint="S3_STS_ENDPOINT",
            keys="S3_STS_ROLE_ARN, S3_ACCESS_KEY and S3_SECRET_KEY",
        ):
            with self._lock:
                self._client = self._client or self._make_client()
            answer = self._client.assume_role(
                RoleArn=settings.s3_sts_role_arn or _NO_ROLE,
                RoleSessionName="melisma",
                Policy=policy(settings, address, scope),
                DurationSeconds=max(_SESSION_S, ttl_s + 2 * _MARGIN_S),
            )["Credentials"]
        return _Session(
            Credentials(answer["AccessKeyId"], answer["SecretAccessKey"], answer["SessionToken"]),
            answer["Expiration"].timestamp(),
        )


def policy(settings: S3Settings, address: str, scope: str) -> str:
    """A session policy: read and write the objects of ``scope``, from ``address``, nothing else."""
    partition = settings.s3_sts_role_arn.split(":")[1] if settings.s3_sts_role_arn else "aws"
    whole = ip_address(address).max_prefixlen
    statement = {
        "Effect": "Allow",
        "Action": ["s3:GetObject", "s3:PutObject"],
        "Resource": [f"arn:{partition}:s3:::{settings.s3_bucket}/{scope}"],
        "Condition": {"IpAddress": {"aws:SourceIp": f"{address}/{whole}"}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
