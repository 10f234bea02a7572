"""Signed URLs: what they allow, and every way in which they do not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.topics.artifacts.stores import BASE, HERE, NOW_S, SECRET, Clock, get, make, request, send
from topics.artifacts import (
    Altered,
    ArtifactMissing,
    Expired,
    LocalStore,
    WrongAddress,
)
from topics.artifacts.serving import open_for_get
from topics.artifacts.signing import STORE_PATH, IpBinding


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def local(tmp_path: Path, clock: Clock) -> LocalStore:
    return make(tmp_path / "store", clock)


def test_a_signed_get_names_the_file(local: LocalStore) -> None:
    stored = local.put("results/Song.flac", b"x", "audio/flac")
    url = local.sign_get(stored.uri, ttl_s=300, ip=HERE, filename="Моя песня & co.flac")
    assert url.url.startswith(f"{BASE}{STORE_PATH}results/Song.flac?")
    assert url.expires_at_ms == (NOW_S + 300) * 1000
    assert HERE not in url.url
    sent = get(local, url.url)
    assert sent.path.read_bytes() == b"x"
    assert (sent.media_type, sent.filename, sent.bytes, sent.sha256) == (
        "audio/flac",
        "Моя песня & co.flac",
        1,
        stored.sha256,
    )


def test_a_url_for_nothing_is_missing(local: LocalStore) -> None:
    with pytest.raises(ArtifactMissing):
        get(local, local.sign_get("local:///none", ttl_s=9, ip=None).url)


def test_urls_expire(local: LocalStore, clock: Clock) -> None:
    local.put("a", b"x", "text/plain")
    url = local.sign_get("local:///a", ttl_s=300, ip=HERE).url
    clock.now_s += 299
    get(local, url)
    clock.now_s += 1
    with pytest.raises(Expired):
        get(local, url)


@pytest.mark.parametrize("ip", ["127.0.0.2", "::1", "fe80::1%eth0", "no address", None])
def test_urls_are_bound_to_an_address(local: LocalStore, ip: str | None) -> None:
    local.put("a", b"x", "text/plain")
    url = local.sign_get("local:///a", ttl_s=300, ip=HERE).url
    with pytest.raises(WrongAddress):
        get(local, url, ip)
    get(local, local.sign_get("local:///a", ttl_s=300, ip=None).url, ip)


def test_one_address_has_several_spellings(local: LocalStore) -> None:
    local.put("a", b"x", "text/plain")
    for signed, asking in (
        ("192.0.2.1", "::ffff:192.0.2.1"),
        ("::ffff:c000:201", "192.0.2.1"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
    ):
        get(local, local.sign_get("local:///a", ttl_s=9, ip=signed).url, asking)


@pytest.mark.parametrize("binding", ["report", "off"])
def test_binding_can_be_loosened(
    tmp_path: Path, clock: Clock, binding: IpBinding, caplog: pytest.LogCaptureFixture
) -> None:
    store = make(tmp_path / "loose", clock, binding)
    store.put("a", b"x", "text/plain")
    url = store.sign_get("local:///a", ttl_s=9, ip=HERE).url
    assert get(store, url, "127.0.0.2").bytes == 1
    assert caplog.messages == (
        ["signed URL used from another address: GET a"] if binding == "report" else []
    )
    clock.now_s += 10
    with pytest.raises(Expired):  # whatever the address
        get(store, url, "127.0.0.2")


def test_every_change_of_a_url_is_noticed(local: LocalStore) -> None:
    local.put("a", b"x", "text/plain")
    local.put("b", b"secret", "text/plain")
    key, pairs = request(local.sign_get("local:///a", ttl_s=9, ip=HERE, filename="a.txt").url)
    open_for_get(local, key, pairs, HERE)
    changes = [("b", pairs), (key, [*pairs, ("clientId", "x")]), (key, []), (key, pairs * 2)]
    for at, (name, value) in enumerate(pairs):
        rest = pairs[:at] + pairs[at + 1 :]
        changes.append((key, rest))
        changes.append((key, [*rest, (name, value + "0")]))
        changes.append((key, [*rest, (name, "")]))
        changes.append((key, [*rest, (name, "\ud800")]))
        changes.append((key, [*pairs, (name, value)]))
    for changed_key, changed in changes:
        with pytest.raises(Altered):
            open_for_get(local, changed_key, changed, HERE)


def test_a_url_is_for_one_method(local: LocalStore) -> None:
    local.put("a", b"x", "text/plain")
    upload = local.begin_upload("a", "text/plain")
    with pytest.raises(Altered):
        get(local, local.sign_part("a", upload, 1, ttl_s=9, ip=HERE, max_bytes=9).url)
    with pytest.raises(Altered):
        send(local, local.sign_get("local:///a", ttl_s=9, ip=HERE).url, b"x")


def test_secrets_rotate(tmp_path: Path, clock: Clock, local: LocalStore) -> None:
    local.put("a", b"x", "text/plain")
    old = local.sign_get("local:///a", ttl_s=9, ip=HERE).url
    root, fresh = tmp_path / "store", b"another secret of thirty-two bys"
    during = LocalStore(
        root, secret=fresh, old_secrets=[SECRET], base_url=lambda: BASE, clock=clock
    )
    assert get(during, old).bytes == 1
    new = during.sign_get("local:///a", ttl_s=9, ip=HERE).url
    after = LocalStore(root, secret=fresh, base_url=BASE, clock=clock)
    assert get(after, new).bytes == 1
    with pytest.raises(Altered):
        get(after, old)
    with pytest.raises(Altered):
        get(local, new)


def test_a_short_secret_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="secret"):
        LocalStore(tmp_path, secret=b"secret", base_url=BASE)
