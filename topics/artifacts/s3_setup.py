"""What a bucket needs before browsers can use it: it exists, and pages may PUT and GET."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from botocore.exceptions import ClientError

from topics.artifacts.protocol import ArtifactError
from topics.artifacts.s3 import S3Store
from topics.artifacts.s3_client import code_of, explained, is_missing

_EXPOSED: Final = ("ETag", "Content-Range", "Content-Disposition", "Accept-Ranges")
"""Without ETag a page cannot name the parts that it uploaded."""

_PREFLIGHT_S: Final = 3600


_NO_RULES: Final = frozenset({"NotImplemented", "MethodNotAllowed"})
_FORBIDDEN: Final = frozenset({"403", "AccessDenied", "Forbidden", "UnauthorizedAccess"})
"""Whoever asks is known and may not. Wrong keys are told apart where the server says so; a HEAD
has no body to say it in."""


def is_forbidden(error: ArtifactError) -> bool:
    """The keys are good and have not the right."""
    cause = error.__cause__
    return isinstance(cause, ClientError) and code_of(cause) in _FORBIDDEN


def takes_no_rules(error: ArtifactError) -> bool:
    """The server has no CORS rules of a bucket, but a setting of its own."""
    cause = error.__cause__
    return isinstance(cause, ClientError) and code_of(cause) in _NO_RULES


def has_bucket(store: S3Store) -> bool:
    """Whether the store's bucket is there. Raises `ArtifactError`."""
    with explained(store.settings, f"look for bucket '{store.bucket}'"):
        try:
            # A list says why it is refused, which a HEAD does not.
            store.client.list_objects_v2(Bucket=store.bucket, MaxKeys=1)
        except ClientError as error:
            if is_missing(error) or code_of(error) == "NoSuchBucket":
                return False
            raise
    return True


def make_bucket(store: S3Store) -> bool:
    """Make the store's bucket unless it is there. False if it is. Raises `ArtifactError`."""
    region = store.settings.s3_region
    if has_bucket(store):
        return False
    with explained(store.settings, f"make bucket '{store.bucket}'"):
        try:
            if store.settings.s3_endpoint or region == "us-east-1":
                store.client.create_bucket(Bucket=store.bucket)
            else:  # AWS takes a bucket's region in this place, and us-east-1 in none
                store.client.create_bucket(
                    Bucket=store.bucket,
                    CreateBucketConfiguration={"LocationConstraint": region},  # type: ignore[typeddict-item]
                )
        except ClientError as error:
            if code_of(error) == "BucketAlreadyOwnedByYou":  # somebody else was faster
                return False
            raise
    return True


def allow_origins(store: S3Store, origins: Sequence[str]) -> None:
    """Let pages of these origins (``https://app.example``, or ``*``) upload parts and play media.

    Raises `ArtifactError`, for a server that takes no rules (MinIO and s3proxy have a setting of
    their own) with what to do there.
    """
    rule = {
        "AllowedMethods": ["GET", "HEAD", "PUT"],
        "AllowedOrigins": list(origins),
        "AllowedHeaders": ["*"],
        "ExposeHeaders": list(_EXPOSED),
        "MaxAgeSeconds": _PREFLIGHT_S,
    }
    with explained(store.settings, f"set the CORS rules of bucket '{store.bucket}'"):
        try:
            store.client.put_bucket_cors(
                Bucket=store.bucket,
                CORSConfiguration={"CORSRules": [rule]},  # type: ignore[list-item]
            )
        except ClientError as error:
            if code_of(error) not in _NO_RULES:
                raise
            raise _no_rules() from error


def allows(store: S3Store, origins: Sequence[str]) -> bool:
    """Whether a rule of the bucket does what `allow_origins` sets. Raises `ArtifactError`."""
    with explained(store.settings, f"read the CORS rules of bucket '{store.bucket}'"):
        try:
            rules = store.client.get_bucket_cors(Bucket=store.bucket).get("CORSRules", [])
        except ClientError as error:
            if code_of(error) in _NO_RULES:
                raise _no_rules() from error
            if code_of(error) == "NoSuchCORSConfiguration":
                return False
            raise
    open_to = {
        origin
        for rule in rules
        if {"GET", "PUT"} <= set(rule["AllowedMethods"]) and "ETag" in rule.get("ExposeHeaders", ())
        for origin in rule["AllowedOrigins"]
    }
    return "*" in open_to or set(origins) <= open_to


def _no_rules() -> ArtifactError:
    return ArtifactError(
        "artifacts: this S3 server takes no CORS rules; set them at the server, with ETag "
        "exposed (MinIO: MINIO_API_CORS_ALLOW_ORIGIN; s3proxy: s3proxy.cors-allow-origins "
        "and s3proxy.cors-exposed-headers)"
    )
