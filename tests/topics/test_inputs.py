"""What an input_uri may name, and what it may not."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from pydantic_settings import BaseSettings

from topics.inputs import (
    AssetInput,
    FileInput,
    InputRefused,
    InputSettings,
    ObjectInput,
    locate,
)


class Alone(InputSettings):
    """Settings that no environment or file reaches."""

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: Any, *others: Any, **named: Any
    ) -> tuple[Any, ...]:
        return (init_settings,)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "media"
    (made / "deep").mkdir(parents=True)
    (made / "a.wav").write_bytes(b"RIFF")
    (made / "deep" / "b c.mp4").write_bytes(b"ftyp")
    (tmp_path / "secret.wav").write_bytes(b"RIFF")
    return made


def refused(settings: InputSettings, uri: str) -> str:
    with pytest.raises(InputRefused) as found:
        locate(settings, uri, "studio")
    assert "/media" not in found.value.message.replace(uri, "")
    return found.value.code


def test_files_under_a_root_are_found_by_every_name(root: Path) -> None:
    settings = Alone(extraction_roots=(str(root),))
    want = FileInput(root / "a.wav")
    for uri in ("a.wav", f"{root}/a.wav", f"file://{root}/a.wav", f"file:{root}/a.wav"):
        assert locate(settings, uri, "studio") == want, uri
    assert locate(settings, f"file://{root}/deep/b%20c.mp4", "x") == FileInput(
        root / "deep" / "b c.mp4"
    )


@pytest.mark.parametrize(
    "uri",
    [
        "../secret.wav", "deep/../../secret.wav", "deep/../a.wav", "..", "/etc/passwd",
        "file:///etc/passwd", "file:///%2e%2e/%2e%2e/etc/passwd", "file:../secret.wav",
        "%s/../secret.wav", "file://%s/%%2e%%2e/secret.wav",
    ],
)  # fmt: skip
def test_a_traversal_is_refused(root: Path, uri: str) -> None:
    settings = Alone(extraction_roots=(str(root),))
    assert refused(settings, uri % root if "%s" in uri else uri) == "input_forbidden"


def test_a_link_out_of_the_root_is_refused_and_one_within_is_followed(root: Path) -> None:
    settings = Alone(extraction_roots=(str(root),))
    os.symlink(root.parent / "secret.wav", root / "out.wav")
    os.symlink(root.parent, root / "up")
    os.symlink(root / "a.wav", root / "in.wav")
    assert refused(settings, "out.wav") == "input_forbidden"
    assert refused(settings, "up/secret.wav") == "input_forbidden"
    assert refused(settings, "up/nothing.wav") == "input_forbidden"
    assert locate(settings, "in.wav", "x") == FileInput(root / "a.wav")


def test_a_root_that_is_a_link_itself_holds(root: Path) -> None:
    os.symlink(root, root.parent / "linked")
    settings = Alone(extraction_roots=(str(root.parent / "linked"),))
    assert locate(settings, "a.wav", "x") == FileInput(root / "a.wav")


def test_folders_pipes_and_missing_files_are_told(root: Path) -> None:
    settings = Alone(extraction_roots=(str(root),))
    os.mkfifo(root / "pipe.wav")
    assert refused(settings, "deep") == "input_not_a_file"
    assert refused(settings, str(root)) == "input_not_a_file"
    assert refused(settings, "pipe.wav") == "input_not_a_file"
    assert refused(settings, "nothing.wav") == "input_missing"


def test_without_roots_there_are_no_files(root: Path) -> None:
    assert refused(Alone(), f"{root}/a.wav") == "input_forbidden"


def test_a_root_on_another_machine_is_left_to_the_one_that_opens_it(tmp_path: Path) -> None:
    settings = Alone(extraction_roots=(str(tmp_path / "elsewhere"),))
    found = locate(settings, "a.wav", "x")
    assert found == FileInput(tmp_path / "elsewhere" / "a.wav")
    assert refused(settings, "/etc/passwd") == "input_forbidden"


def test_a_tenant_has_a_folder_of_its_own(root: Path) -> None:
    (root / "studio").mkdir()
    (root / "studio" / "s.wav").write_bytes(b"RIFF")
    settings = Alone(extraction_roots=(f"{root}/{{tenant}}",))
    assert locate(settings, "s.wav", "studio") == FileInput(root / "studio" / "s.wav")
    with pytest.raises(InputRefused):
        locate(settings, f"{root}/studio/s.wav", "other")


def test_s3_needs_an_allowed_bucket_and_beginning() -> None:
    settings = Alone(extraction_s3_buckets=("open", "media/{tenant}/"))
    assert locate(settings, "s3://open/a/b?.wav", "studio") == ObjectInput("open", "a/b?.wav")
    assert locate(settings, "s3://media/studio/a.wav", "studio") == ObjectInput(
        "media", "studio/a.wav"
    )
    for uri in ("s3://other/a.wav", "s3://media/else/a.wav", "s3://media/studio/../x/a.wav"):
        assert refused(settings, uri) == "input_forbidden", uri
    for uri in ("s3://open", "s3://open/", "s3:///a.wav", "s3://OPEN/a"):
        assert refused(settings, uri) == "input_scheme_unknown", uri
    assert refused(Alone(), "s3://open/a.wav") == "input_forbidden"


def test_assets_are_left_to_who_knows_them() -> None:
    assert locate(Alone(), "asset:ast_1", "x") == AssetInput("ast_1")
    assert locate(Alone(), "asset://ast_1", "x") == AssetInput("ast_1")


@pytest.mark.parametrize(
    "uri",
    ["", "http://a/b.wav", "ftp://a/b", "data:audio/wav;base64,AA", "concat:a|b", "a" * 2049,
     "file://host/a.wav", "file:///a.wav?x=1", "a\0b", "pipe:0"],
)  # fmt: skip
def test_other_schemes_are_refused(uri: str) -> None:
    assert refused(Alone(extraction_roots=("/srv",)), uri) == "input_scheme_unknown"


def test_the_whole_disk_is_no_root() -> None:
    for root in ("/", "//", "media"):
        with pytest.raises(ValidationError):
            Alone(extraction_roots=(root,))
