"""The bucket of the artifacts: there, and open to the pages that upload and play."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tools.ops.provisioning import Finding
from topics.artifacts.protocol import ArtifactError
from topics.artifacts.s3_settings import S3Settings

if TYPE_CHECKING:
    from topics.artifacts.s3 import S3Store


def bucket_findings(settings: S3Settings, origins: Sequence[str], *, repair: bool) -> list[Finding]:
    """How the bucket of ``S3_BUCKET`` stands; nothing where none is named.

    ``repair`` makes it and sets its CORS rules (for ``origins``, if there are any), as far as the
    keys have the right to: a bucket is often made by others, and the product needs no more than to
    read and write in it. What it may not see or do is said, and is no failure. Raises
    `ArtifactError` for settings that make no client.
    """
    if not settings.s3_bucket:
        return []
    from topics.artifacts.s3 import S3Store

    store = S3Store(settings, ip_binding="off")  # no URL is signed here
    bucket = _bucket(store, repair)
    if bucket.verdict != "ok" or not origins:
        return [bucket]
    return [bucket, _rules(store, origins, repair)]


def _bucket(store: S3Store, repair: bool) -> Finding:
    from topics.artifacts.s3_setup import has_bucket, is_forbidden, make_bucket

    name = store.bucket
    try:
        if has_bucket(store):
            return Finding("bucket", name, "ok")
        if not repair:
            return Finding("bucket", name, "missing", "there is no such bucket")
        make_bucket(store)
    except ArtifactError as error:
        return Finding(
            "bucket", name, "forbidden" if is_forbidden(error) else "missing", str(error)
        )
    return Finding("bucket", name, "ok")


def _rules(store: S3Store, origins: Sequence[str], repair: bool) -> Finding:
    from topics.artifacts.s3_setup import allow_origins, allows, is_forbidden, takes_no_rules

    try:
        if allows(store, origins):
            return Finding("cors", store.bucket, "ok")
        if not repair:
            wanted = ", ".join(origins)
            return Finding("cors", store.bucket, "different", f"no rule for {wanted} with ETag")
        allow_origins(store, origins)
    except ArtifactError as error:
        beyond = is_forbidden(error) or takes_no_rules(error)
        return Finding("cors", store.bucket, "forbidden" if beyond else "different", str(error))
    return Finding("cors", store.bucket, "ok")
