"""The artifact store: `protocol.py` says what every implementation keeps, `local.py` keeps it in a
folder, `signing.py` and `serving.py` are its signed URLs."""

from topics.artifacts.keys import InvalidKey
from topics.artifacts.local import LocalStore
from topics.artifacts.multipart import PartTooLarge
from topics.artifacts.protocol import (
    ArtifactCorrupt,
    ArtifactError,
    ArtifactMissing,
    ArtifactStore,
    New,
    Part,
    SignedUrl,
    Stored,
    StoreFull,
    UploadInvalid,
)
from topics.artifacts.signing import Altered, Expired, SignedUrlRefused, WrongAddress

__all__ = [
    "Altered",
    "ArtifactCorrupt",
    "ArtifactError",
    "ArtifactMissing",
    "ArtifactStore",
    "Expired",
    "InvalidKey",
    "LocalStore",
    "New",
    "Part",
    "PartTooLarge",
    "SignedUrl",
    "SignedUrlRefused",
    "StoreFull",
    "Stored",
    "UploadInvalid",
    "WrongAddress",
]
