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


def make_bucket(store: S3Store) -> bool:
    """Make the store's bucket unless it is there. False if it is. Raises `ArtifactError`."""
    region = store.settings.s3_region
    with explained(store.settings, f"make bucket '{store.bucket}'"):
        try:
            store.client.head_bucket(Bucket=store.bucket)
        except ClientError as error:
            if not is_missing(error):
                raise
        else:
            return False
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
            if code_of(error) not in ("NotImplemented", "MethodNotAllowed"):
                raise
            raise ArtifactError(
                "artifacts: this S3 server takes no CORS rules; set them at the server, with ETag "
                "exposed (MinIO: MINIO_API_CORS_ALLOW_ORIGIN; s3proxy: s3proxy.cors-allow-origins "
                "and s3proxy.cors-exposed-headers)"
            ) from error
