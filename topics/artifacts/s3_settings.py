"""Where an S3 store lives: one set of settings for AWS, MinIO, Backblaze B2, Cloudflare R2.

==========  ======================================  ===============  ===================
server      ``S3_ENDPOINT``                         ``S3_REGION``    IP binding
==========  ======================================  ===============  ===================
AWS         empty                                   the bucket's     enforce (a role)
MinIO       its address                             us-east-1        enforce
B2          ``https://s3.<region>.backblazeb2.com`` ``<region>``     report, off
R2          ``https://<account>.r2.…``              auto             report, off
s3proxy     its address                             us-east-1        report, off
==========  ======================================  ===============  ===================
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, PositiveFloat, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from topics.artifacts.protocol import ArtifactError
from topics.artifacts.signing import IpBinding


class S3Settings(BaseSettings):
    """The S3 store; artifacts lie in a local folder while there is no ``S3_BUCKET``."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", frozen=True)

    s3_bucket: str = Field(
        default="",
        description="Bucket of the artifacts, the product's own; empty keeps them in DATA_DIR.",
    )
    s3_endpoint: str = Field(
        default="", description="Address of the S3 server; empty is AWS in S3_REGION."
    )
    s3_public_endpoint: str = Field(
        default="",
        description="Address under which clients reach the server; signed URLs begin with it. "
        "Empty: S3_ENDPOINT.",
    )
    s3_region: str = Field(default="us-east-1", description="Region of the bucket (R2: auto).")
    s3_access_key: str = Field(
        default="",
        description="Access key id. Empty: the machine's own credentials (a role, ~/.aws).",
    )
    s3_secret_key: SecretStr = Field(default=SecretStr(""), description="Its secret.")
    s3_path_style: bool = Field(
        default=True,
        description="Bucket in the path (MinIO, s3proxy; works everywhere) or in the host's name.",
    )
    s3_ca_file: str = Field(
        default="", description="PEM file of the authorities that are trusted instead of the usual."
    )
    s3_conditional_writes: Literal["auto", "on", "off"] = Field(
        default="auto",
        description="Whether the server honours If-None-Match of a PUT; auto tries it once. off "
        "for one that only seems to (s3proxy before 4).",
    )
    s3_connect_timeout_seconds: PositiveFloat = Field(
        default=3.0, description="Longest wait for a connection to the server, in seconds."
    )
    s3_read_timeout_seconds: PositiveFloat = Field(
        default=30.0, description="Longest silence of the server, in seconds."
    )
    s3_attempts: int = Field(
        default=4,
        ge=1,
        le=20,
        description="Tries of one request, with growing pauses, before a step is put off.",
    )
    s3_sts_endpoint: str = Field(
        default="",
        description="Address that answers AssumeRole, for IP_BINDING=enforce (MinIO: the server's "
        "own). Empty with a role: AWS in S3_REGION.",
    )
    s3_sts_role_arn: str = Field(
        default="",
        description="Role whose sessions sign URLs, for IP_BINDING=enforce (MinIO takes none).",
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if bool(self.s3_access_key) != bool(self.s3_secret_key.get_secret_value()):
            missing = "S3_SECRET_KEY" if self.s3_access_key else "S3_ACCESS_KEY"
            raise ValueError(f"{missing} is missing: both or none of the two keys are set")
        return self

    @classmethod
    def read(cls) -> Self:
        """The settings of the environment and ``.env``. Raises `ArtifactError`."""
        try:
            return cls()
        except ValidationError as error:
            wrong = [
                f"{'_'.join(map(str, each['loc'])).upper()}: {each['msg']}".removeprefix(": ")
                for each in error.errors(include_input=False, include_context=False)
            ]
            raise ArtifactError(f"artifacts: {'; '.join(wrong)}") from None

    def check_binding(self, ip_binding: IpBinding) -> None:
        """Raise `ArtifactError` when the URLs cannot be bound as asked."""
        if ip_binding == "enforce" and not (self.s3_sts_endpoint or self.s3_sts_role_arn):
            raise ArtifactError(
                "artifacts: IP_BINDING=enforce on S3 needs a server that hands out sessions: set "
                "S3_STS_ENDPOINT (MinIO: its own address) or S3_STS_ROLE_ARN (AWS); "
                "B2, R2 and s3proxy have none: set IP_BINDING=report or off"
            )
