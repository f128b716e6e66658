"""Who may come in: checked before a request is read, and before a WebSocket is accepted.

Three questions, since each alone leaves a hole. *Secret*: is this one of ours? *Origin*: did a foreign web page send
this browser? (Browsers let any page open a WebSocket anywhere, and CORS does not apply to it.) *Host*: did a foreign
name lead to this loopback address? (DNS rebinding makes a foreign page "same host".)
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit

from fastapi.datastructures import Headers
from pydantic import SecretStr
from service_kit.errors import Denied, InvalidRequest
from service_kit.observability.metrics import ERRORS
from starlette.types import ASGIApp, Receive, Scope, Send

from orchestrator.api.http.errors import error_response

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
_READING_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class Forbidden(Denied):
    """The caller may not, whoever it is."""

    http_status = 403


@dataclass(frozen=True, slots=True)
class AccessPolicy:
    """What is asked of callers."""

    # Asked of everybody; None asks it of nobody.
    secret: SecretStr | None = None
    # Foreign origins that are welcome, such as `https://studio.example`; the own host always is.
    origins: tuple[str, ...] = ()
    # Names by which this server may be called, without port; None takes any.
    hosts: tuple[str, ...] | None = LOOPBACK_NAMES
    # Paths open to all; one that ends in `/*` stands for everything below it.
    open_paths: tuple[str, ...] = ("/health", "/ready", "/metrics")


def access_policy(
    host: str,
    secret: SecretStr | None,
    *,
    origins: Iterable[str] = (),
    hosts: Iterable[str] = (),
    open_paths: Iterable[str] = (),
) -> AccessPolicy:
    """The policy of a server bound to `host`; `hosts` are further names it is called by, `open_paths` further paths.

    Names are checked on loopback, or wherever some are given. Raises `InvalidRequest` for an open bind.
    """
    check_bind_address(host, secret)
    further = tuple(name.lower() for name in hosts)
    return AccessPolicy(
        secret=_meant(secret),
        origins=tuple(origin.lower().rstrip("/") for origin in origins),
        hosts=(*LOOPBACK_NAMES, *further) if further or is_loopback(host) else None,
        open_paths=(*AccessPolicy().open_paths, *open_paths),
    )


def check_bind_address(host: str, secret: SecretStr | None) -> None:
    """Raise `InvalidRequest` when everybody on the network could come in."""
    if not is_loopback(host) and _meant(secret) is None:
        raise InvalidRequest("orchestrator.secret_required", f"listening on {host} needs a shared secret")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server bound to `host`."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def has_secret(secret: SecretStr | None, authorization: str) -> bool:
    """Whether an `Authorization` header carries the secret; always, where there is none."""
    scheme, _, token = authorization.partition(" ")
    return _meant(secret) is None or (scheme.lower() == "bearer" and _equal(secret, token.strip()))


def _equal(secret: SecretStr | None, token: str) -> bool:
    known = secret.get_secret_value() if secret else ""
    return hmac.compare_digest(known.encode(), token.encode("utf-8", "surrogateescape"))


def _meant(secret: SecretStr | None) -> SecretStr | None:
    """An empty secret is none: it must not be one that everybody knows."""
    return secret if secret and secret.get_secret_value() else None


class AccessMiddleware:
    """ASGI middleware that lets in whom the policy lets in."""

    def __init__(self, app: ASGIApp, policy: AccessPolicy) -> None:
        self._app = app
        self._policy = policy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            try:
                self._check(scope)
            except Denied as error:
                ERRORS.labels(error.code).inc()
                await _answer(error, scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        token = _take_token(scope) if scope["type"] == "websocket" else ""
        if self._is_open(scope["path"]):
            return
        headers = Headers(scope=scope)
        host = headers.get("host", "").lower()
        if self._policy.hosts is not None and _without_port(host) not in self._policy.hosts:
            raise Forbidden("orchestrator.foreign_host", f"this server is not called {host[:80]!r}")
        origin = headers.get("origin")
        changes = scope["type"] == "websocket" or scope["method"] not in _READING_METHODS
        if origin is not None and changes and not self._welcomes(origin.lower(), host):
            raise Forbidden("orchestrator.foreign_origin", f"pages of {origin[:80]!r} are not welcome here")
        secret = self._policy.secret
        # Headers are bytes; the library reads them as Latin-1, people write UTF-8.
        authorization = headers.get("authorization", "").encode("latin-1").decode("utf-8", "surrogateescape")
        if not has_secret(secret, authorization) and not _equal(secret, token):
            raise Denied("orchestrator.denied", "the shared secret is missing or wrong")

    def _is_open(self, path: str) -> bool:
        below = (name[:-1] for name in self._policy.open_paths if name.endswith("/*"))
        return path in self._policy.open_paths or any(path.startswith(prefix) for prefix in below)

    def _welcomes(self, origin: str, host: str) -> bool:
        return origin in self._policy.origins or (host != "" and urlsplit(origin).netloc == host)


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdecimal() else host


def _take_token(scope: Scope) -> str:
    """The `token` of a WebSocket's query, for browsers cannot give it headers.

    It is taken out of the scope, which the server logs the whole address from when it accepts or refuses.
    """
    pairs = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    scope["query_string"] = urlencode([pair for pair in pairs if pair[0] != "token"]).encode("ascii")
    return next((value for name, value in pairs if name == "token"), "")


async def _answer(error: Denied, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http" or "websocket.http.response" in scope.get("extensions", {}):
        await error_response(error)(scope, receive, send)
    else:
        await send({"type": "websocket.close", "code": error.websocket_close_code, "reason": error.code})
