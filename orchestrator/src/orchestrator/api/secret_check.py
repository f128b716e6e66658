"""Checks the shared secret or the API key of every caller, and slows guesses at them.

A wrong secret counts as a guess of its client's address. An address that has guessed too often is refused until its
guesses are forgotten, with the right secret too: a check that still told right from wrong would not slow anything.
What is repeated is no guess, so a page with an outdated secret does not lock its address out.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import logging
import math
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from pydantic import SecretStr
from service_kit.errors import Denied
from service_kit.http.api_keys import ApiKey, Scope, token_digest
from service_kit.observability.audit import SecurityEvent
from service_kit.token_bucket import TokenBucket

from orchestrator.api.audit import AuditLog
from orchestrator.api.callers import Caller
from orchestrator.api.key_limits import KeyLimits, Throttled
from orchestrator.api.single_use_tokens import SingleUseTokens

# Guesses of one address, on average and at once. A secret of 64 bits then lasts longer than the machine.
GUESSES_PER_S = 0.2
GUESS_BURST = 10
# Addresses whose guesses are counted; the one that was seen longest ago is forgotten first. 0.4 KiB each, measured.
MAX_ADDRESSES = 4096
# A provider gives a customer at least this much of IPv6.
_IPV6_CUSTOMER_BITS = 64


class TooManyGuesses(Throttled):
    """The client's address has sent too many wrong secrets; `retry_after_s` says when it may send another one."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(
            "orchestrator.too_many_guesses", "too many wrong secrets came from this address", retry_after_s
        )


class WrongSecret(Denied):
    """The secret is wrong; recorded as a guess."""

    def __init__(self) -> None:
        super().__init__("orchestrator.denied", "the shared secret is wrong")


class Forbidden(Denied):
    """Access is denied, whatever credentials the caller sends, or to the key that it sent."""

    http_status = 403


@dataclass(slots=True)
class _Guesses:
    """The guesses of one address; `last` is the digest of the last wrong secret."""

    bucket: TokenBucket = field(default_factory=lambda: TokenBucket(GUESSES_PER_S, GUESS_BURST))
    last: bytes = b""


class SecretCheck:
    """The check of a secret and of keys, shared by all APIs; without any, every caller passes.

    `behind_proxy` says that clients from elsewhere come through a proxy, which names their addresses. A proxy on this
    machine is recognised by its loopback address.
    """

    def __init__(
        self,
        secret: SecretStr | None,
        *,
        keys: Iterable[ApiKey] = (),
        behind_proxy: bool = False,
        now_s: Callable[[], float] = time.monotonic,
        audit: AuditLog | None = None,
    ) -> None:
        self._secret = secret.get_secret_value().encode() if secret else b""
        keys = tuple(keys)
        # Looked up by digest: the time of a look-up tells nothing about a token.
        self._keys = {key.digest: key for key in keys}
        self.key_limits = KeyLimits(keys, now_s)
        self.single_use_tokens = SingleUseTokens(now_s)
        self._behind_proxy = behind_proxy
        self._now_s = now_s
        self._guesses: OrderedDict[str, _Guesses] = OrderedDict()
        self.audit = audit or AuditLog(now_s)
        # The names of the keys that were used, the empty one for the secret.
        self._used: set[str] = set()
        # Digests in memory tell nothing about the secrets that people mistyped.
        self._key = secrets.token_bytes(32)

    def require(
        self,
        tokens: Iterable[str],
        peer: str,
        forwarded_for: str = "",
        scope: Scope = Scope.TALK,
        *,
        single_use: bool = False,
    ) -> Caller:
        """Pass a caller with the secret, a key for `scope` or, with `single_use`, such a token among its `tokens`.

        `peer` is the address of the connection, `forwarded_for` the header `X-Forwarded-For`. Raises `Denied` for a
        missing or wrong secret, `TooManyGuesses` while the address is refused, `Forbidden` for a key without the scope,
        `Throttled` for one that sends more requests than it may.
        """
        if not self._secret and not self._keys:
            return Caller()
        tokens = list(tokens)
        sent = [token.encode("utf-8", "surrogateescape") for token in tokens if token]
        if not sent:
            raise Denied("orchestrator.denied", "the shared secret is missing")
        now_s = self._now_s()
        address = self.address_of(peer, forwarded_for)
        guesses = self._guesses.get(address)
        digest = hmac.digest(self._key, b"\0".join(sent), hashlib.sha256)
        if guesses is not None and not hmac.compare_digest(guesses.last, digest):
            wait_s = guesses.bucket.spend(0, now_s)
            if wait_s > 0:
                raise TooManyGuesses(wait_s)
        if self._secret and any(hmac.compare_digest(self._secret, token) for token in sent):
            self._record_use(Caller(), address)
            return Caller()
        key = next((self._keys[each] for each in map(token_digest, tokens) if each in self._keys), None)
        if key is not None:
            if scope not in key.scopes:
                raise Forbidden("orchestrator.key_scope", f"the key {key.name} has not the scope {scope}")
            caller = Caller(key.name, key.scopes)
            self._record_use(caller, address)
            self.key_limits.count_request(caller)
            return caller
        if single_use and (caller := self._redeem(tokens)) is not None and scope in caller.scopes:
            self.audit.record(SecurityEvent.TOKEN_USED, key=caller.key, address=address)
            self.key_limits.count_request(caller)
            return caller
        self._count_guess(address, digest, now_s)
        raise WrongSecret

    def record_refusal(self, error: Denied, peer: str, forwarded_for: str = "") -> None:
        """Record a refusal in the audit log, unless the check has counted it as a guess."""
        if not isinstance(error, WrongSecret):
            address = self.address_of(peer, forwarded_for)
            self.audit.record(SecurityEvent.REFUSED, code=error.code, address=address)

    def _record_use(self, caller: Caller, address: str) -> None:
        if caller.key not in self._used:
            self._used.add(caller.key)
            self.audit.record(SecurityEvent.KEY_USED, key=caller.key, address=address)

    def _redeem(self, tokens: Iterable[str]) -> Caller | None:
        redeemed = (self.single_use_tokens.redeem(token) for token in tokens if token)
        return next((caller for caller in redeemed if caller is not None), None)

    def _count_guess(self, address: str, digest: bytes, now_s: float) -> None:
        guesses = self._guesses.setdefault(address, _Guesses())
        self._guesses.move_to_end(address)
        if len(self._guesses) > MAX_ADDRESSES:
            self._guesses.popitem(last=False)
        if hmac.compare_digest(guesses.last, digest):
            return
        guesses.last = digest
        wait_s = guesses.bucket.spend(1, now_s)
        refused_for_s = math.ceil(wait_s)
        self.audit.record(SecurityEvent.WRONG_SECRET, logging.WARNING, address=address, refused_for_s=refused_for_s)

    def address_of(self, peer: str, forwarded_for: str) -> str:
        """The address of a client; that of its network for IPv6, of which a customer has many."""
        address = _parse_address(peer)
        if self._behind_proxy or (address is not None and address.is_loopback):
            # A proxy appends the address that it sees; what stands before it is the client's own claim.
            address = _parse_address(forwarded_for.rpartition(",")[2]) or address
        if isinstance(address, ipaddress.IPv6Address):
            if address.ipv4_mapped is not None:
                return str(address.ipv4_mapped)
            return str(ipaddress.ip_network((address, _IPV6_CUSTOMER_BITS), strict=False))
        return str(address) if address is not None else "unknown"


def bearer_token(authorization: str) -> str:
    """The token of an `Authorization` header; empty for another scheme."""
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def grpc_address(peer: str) -> str:
    """The address of a gRPC peer such as `ipv4:192.0.2.7:4242` or `ipv6:%5B2001:db8::1%5D:4242`."""
    kind, _, rest = peer.partition(":")
    address = rest.rpartition(":")[0].replace("%5B", "").replace("%5D", "").strip("[]")
    return address if kind in ("ipv4", "ipv6") else ""


def _parse_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text.strip().strip("[]"))
    except ValueError:
        return None
