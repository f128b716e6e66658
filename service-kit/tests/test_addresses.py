from __future__ import annotations

import pytest
from service_kit.addresses import authority, bare_host, reachable_host


@pytest.mark.parametrize(
    ("host", "bound", "reached", "target"),
    [
        ("127.0.0.1", "127.0.0.1", "127.0.0.1", "127.0.0.1:80"),
        ("0.0.0.0", "0.0.0.0", "127.0.0.1", "127.0.0.1:80"),
        ("", "", "127.0.0.1", "127.0.0.1:80"),
        ("::1", "::1", "::1", "[::1]:80"),
        ("[::1]", "::1", "::1", "[::1]:80"),
        ("::", "::", "::1", "[::1]:80"),
        ("fe80::1%eth0", "fe80::1%eth0", "fe80::1%eth0", "[fe80::1%eth0]:80"),
        ("anchor.local", "anchor.local", "anchor.local", "anchor.local:80"),
    ],
)
def test_both_kinds_of_address_are_written_as_urls_want_them(host: str, bound: str, reached: str, target: str) -> None:
    assert bare_host(host) == bound
    assert reachable_host(host) == reached
    assert authority(reachable_host(host), 80) == target
