"""Where the bus lives: settings that the gateway and every stage share.

Read from the environment and ``.env``; ``.env.example`` documents each name.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from topics.artifacts import ArtifactStore
from topics.codec import Codec
from topics.log import Log


class BusSettings(BaseSettings):
    """The log, the artifact store and the names on the bus."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", frozen=True)

    data_dir: Path = Field(
        default=Path("data"),
        description="Folder of the embedded log, the local artifacts and the projection.",
    )
    topic_prefix: str = Field(
        default="",
        pattern=r"^[A-Za-z0-9._-]*$",
        description="Put before every topic name, so that several products can share a cluster.",
    )
    public_base_url: str = Field(
        default="http://127.0.0.1:8080",
        description="Address under which clients reach the gateway; signed URLs begin with it.",
    )
    ip_binding: Literal["enforce", "report", "off"] = Field(
        default="enforce",
        description="What happens when a signed URL is used from another address than its owner's.",
    )
    log_format: Literal["json", "console"] = Field(
        default="json", description="json for machines, console for people."
    )
    log_level: str = Field(default="INFO", description="Lowest level that is logged.")

    def open_log(self) -> Log:
        """The log that these settings name."""
        from topics.log.embedded import EmbeddedLog

        self.data_dir.mkdir(parents=True, exist_ok=True)
        return EmbeddedLog(self.data_dir / "log.db")

    def open_artifacts(self) -> ArtifactStore:
        """The artifact store that these settings name."""
        from topics.artifacts.local import LocalStore

        return LocalStore(
            self.data_dir / "artifacts",
            secret=self.signing_secret(),
            base_url=self.public_base_url,
            ip_binding=self.ip_binding,
        )

    def codec(self) -> Codec:
        """The codec of this bus."""
        return Codec(prefix=self.topic_prefix)

    def signing_secret(self) -> bytes:
        """The key of the signed URLs: made once, readable by the owner alone."""
        path = self.data_dir / "signing.key"
        self.data_dir.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            # Written aside and linked into place, so that racing processes agree on one key.
            draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as f:
                f.write(secrets.token_bytes(32))
            try:
                os.link(draft, path)
            except FileExistsError:
                pass
            finally:
                draft.unlink()
        return path.read_bytes()
