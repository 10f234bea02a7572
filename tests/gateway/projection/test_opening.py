"""Which database the settings open."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from gateway.projection.cassandra.settings import CassandraSettings
from gateway.projection.opening import open_reservations, open_store
from gateway.projection.sqlite import SqliteStore
from gateway.projection.sqlite_reservations import SqliteReservations
from gateway.projection.store import StoreError
from topics.settings import BusSettings


def test_files_without_an_address(tmp_path: Path) -> None:
    settings, cassandra = BusSettings(data_dir=tmp_path), CassandraSettings()
    store = open_store(settings, cassandra)
    rows = open_reservations(settings, cassandra)
    assert isinstance(store, SqliteStore)
    assert isinstance(rows, SqliteReservations)
    store.close()
    rows.close()
    assert {path.name for path in tmp_path.glob("*.db")} == {"projection.db", "gateway.db"}


def test_an_address_in_the_environment_without_the_driver_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cassandra", None)
    monkeypatch.setenv("CASSANDRA_CONTACT_POINTS", "10.0.0.1")
    for opening in (open_store, open_reservations):
        with pytest.raises(StoreError, match=r"pip install 'melisma\[cassandra\]'"):
            opening(BusSettings(data_dir=tmp_path))


class TestSettings:
    @pytest.mark.parametrize(
        ("text", "addresses"),
        [
            ("a", [("a", 9042)]),
            ("a:1, b ,", [("a", 1), ("b", 9042)]),
            ("::1", [("::1", 9042)]),
            ("[::1]:7", [("::1", 7)]),
            ("", []),
        ],
    )
    def test_contact_points(self, text: str, addresses: list[tuple[str, int]]) -> None:
        assert CassandraSettings(cassandra_contact_points=text).addresses() == addresses

    @pytest.mark.parametrize(
        ("wrong", "named"),
        [
            ({"cassandra_contact_points": "a:x"}, "CASSANDRA_CONTACT_POINTS"),
            ({"cassandra_contact_points": "a:70000"}, "CASSANDRA_CONTACT_POINTS"),
            ({"cassandra_password": "p"}, "CASSANDRA_USERNAME"),
            ({"cassandra_ca_file": "f"}, "CASSANDRA_TLS"),
            ({"cassandra_tls": True, "cassandra_key_file": "f"}, "CASSANDRA_CERTIFICATE_FILE"),
            ({"cassandra_replication": "dc1"}, "cassandra_replication"),
            ({"cassandra_keyspace": "drop; --"}, "cassandra_keyspace"),
        ],
    )
    def test_what_cannot_be_is_refused_by_name(self, wrong: dict[str, object], named: str) -> None:
        with pytest.raises(ValidationError, match=named):
            CassandraSettings(**wrong)  # type: ignore[arg-type]

    def test_copies(self) -> None:
        spread = CassandraSettings(cassandra_replication="dc1:3,dc2:2")
        assert spread.copies("dc1") == {"dc1": "3", "dc2": "2"}
        assert CassandraSettings().copies("dc7") == {"dc7": "1"}

    def test_the_password_is_not_shown(self) -> None:
        settings = CassandraSettings(cassandra_username="u", cassandra_password="s3cret")  # type: ignore[arg-type]
        assert "s3cret" not in repr(settings)
