from __future__ import annotations

import pytest

from gateway.guard.callbacks import check_callback
from gateway.guard.problems import Code, Problem


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/hook?token=abc",
        "https://example.com:8443/",
        "https://пример.рф/крючок",
        "https://93.184.216.34/",
        "https://[2606:4700::1111]/",
        "https://example.com./",
    ],
)
def test_public_addresses_are_taken(url: str) -> None:
    assert check_callback(url, http_allowed=False) == url


def test_the_fragment_is_no_part_of_it() -> None:
    assert check_callback("https://example.com/a#b", http_allowed=False) == "https://example.com/a"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hook",
        "http://example.com/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "https://",
        "https:///path",
        "https://user:pw@example.com/",
        "https://user@example.com/",
        "https://exa mple.com/",
        "https://example.com/\r\nX: y",
        "https://example.com:99999/",
        "https://localhost/",
        "https://box.local/",
        "https://metadata.google.internal/",
        "https://intranet/",
        "https://127.0.0.1/",
        "https://127.1/",
        "https://2130706433/",
        "https://0x7f.0.0.1/",
        "https://0/",
        "https://10.1.2.3/",
        "https://100.64.0.1/",
        "https://169.254.169.254/latest/meta-data",
        "https://172.16.0.1/",
        "https://192.168.1.1/",
        "https://192.0.2.1/",
        "https://224.0.0.1/",
        "https://255.255.255.255/",
        "https://[::1]/",
        "https://[::]/",
        "https://[fe80::1]/",
        "https://[fc00::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[2002:7f00:1::]/",
        "https://[64:ff9b::7f00:1]/",
        "https://[ff02::1]/",
        "https://example..com/",
        "https://-example.com/",
        "https://" + "a" * 2050 + ".com/",
    ],
)
def test_anything_else_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(Problem) as refused:
        check_callback(url, http_allowed=False)
    assert refused.value.code is Code.CALLBACK_REFUSED
    assert url == "" or url not in refused.value.detail


@pytest.mark.parametrize("url", ["http://127.0.0.1:9000/hook", "https://localhost/", "http://a/"])
def test_development_may_call_itself(url: str) -> None:
    assert check_callback(url, http_allowed=True) == url


def test_even_development_sends_no_passwords() -> None:
    with pytest.raises(Problem):
        check_callback("http://me:pw@127.0.0.1/", http_allowed=True)
