"""Host names and IP addresses, of both kinds, in URLs, gRPC targets and binds."""

from __future__ import annotations

import ipaddress

_ANY = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}


def bare_host(host: str) -> str:
    """`host` without the brackets of an IPv6 address, as a bind wants it."""
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


def authority(host: str, port: int) -> str:
    """`host` and `port` as URLs and gRPC targets want them, with brackets around an IPv6 address."""
    bare = bare_host(host)
    return f"[{bare}]:{port}" if is_ipv6(bare) else f"{bare}:{port}"


def is_ipv6(host: str) -> bool:
    """Whether `host` is an IPv6 address, rather than an IPv4 address or a name."""
    try:
        return ipaddress.ip_address(bare_host(host)).version == 6
    except ValueError:
        return False


def reachable_host(host: str) -> str:
    """The host at which this machine reaches a server that is bound to `host`: loopback for any address."""
    bare = bare_host(host)
    return _ANY.get(bare, bare)
