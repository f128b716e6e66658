"""Access control: checks each request before it is read, and each WebSocket before it is accepted.

Three checks, each against a different attack. *Secret*: a caller without the shared secret. *Origin*: a foreign web
page in the user's browser (browsers let any page open a WebSocket to any host, and CORS does not apply to it). *Host*:
DNS rebinding, where a foreign name resolves to this loopback address and makes a foreign page "same host".
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from urllib.parse import unquote, unquote_plus, urlsplit

from fastapi.datastructures import Headers
from pydantic import SecretStr
from service_kit.errors import Denied, InvalidRequest
from service_kit.http.api_keys import Scope as KeyScope
from service_kit.observability.metrics import ERRORS
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from orchestrator.api.audit import AuditMiddleware
from orchestrator.api.callers import Caller, attach_caller
from orchestrator.api.errors import error_response
from orchestrator.api.secret_check import Forbidden, SecretCheck, bearer_token

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
# Of a secret that is asked for beyond loopback. 16 random hexadecimal digits are 64 bits, beyond what can be guessed
# over a network.
MIN_SECRET_CHARS = 16
MIN_SECRET_DISTINCT_CHARS = 8
# What pages of allowed origins may send, and which headers they may read of the answers.
_CORS_METHODS = ("GET", "POST", "DELETE")
_CORS_REQUEST_HEADERS = ("Authorization", "Content-Type")
CORS_ANSWER_HEADERS = (
    *("X-Anchor-Transcript", "X-Anchor-Reply", "X-Anchor-Ticket", "X-Anchor-Language", "X-Anchor-Turn"),
    *("X-Anchor-Failure", "Retry-After"),
)
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class AccessPolicy:
    """The checks that a caller must pass."""

    # The shared secret that every caller must send; None requires none.
    secret: SecretStr | None = None
    # Allowed foreign origins, such as `https://studio.example`; the server's own host is always allowed.
    origins: tuple[str, ...] = ()
    # Allowed `Host` names of this server, without port; None allows any.
    hosts: tuple[str, ...] | None = LOOPBACK_NAMES
    # Paths exempt from all checks; one that ends in `/*` includes everything below it.
    open_paths: tuple[str, ...] = ("/health", "/ready", "/metrics")


def access_policy(
    host: str,
    secret: SecretStr | None,
    *,
    origins: Iterable[str] = (),
    hosts: Iterable[str] = (),
    open_paths: Iterable[str] = (),
    has_keys: bool = False,
) -> AccessPolicy:
    """Return the policy of a server bound to `host`; `hosts` and `open_paths` extend the defaults.

    `has_keys` says that API keys are required where there is no secret.
    Host names are checked on loopback, and wherever `hosts` are given. Raises `InvalidRequest` for a bind beyond
    loopback without a secret, and for a weak secret there or where a name of `hosts` is reached from elsewhere.
    """
    check_bind_address(host, secret, has_keys=has_keys)
    further = tuple(name.lower() for name in hosts)
    if beyond := next((name for name in further if not is_loopback(name)), None):
        check_strength(beyond, secret)
    return AccessPolicy(
        secret=_non_empty(secret),
        origins=tuple(origin.lower().rstrip("/") for origin in origins),
        hosts=(*LOOPBACK_NAMES, *further) if further or is_loopback(host) else None,
        open_paths=(*AccessPolicy().open_paths, *open_paths),
    )


def check_bind_address(host: str, secret: SecretStr | None, *, has_keys: bool = False) -> None:
    """Raise `InvalidRequest` when the network reaches `host` and there is neither secret nor key, or a weak secret."""
    if is_loopback(host):
        return
    if _non_empty(secret) is None and not has_keys:
        raise InvalidRequest("orchestrator.secret_required", f"listening on {host} needs a shared secret")
    check_strength(host, secret)


def check_strength(host: str, secret: SecretStr | None) -> None:
    """Raise `InvalidRequest` when clients reach this server as `host` from elsewhere with a secret to be guessed."""
    known = secret.get_secret_value() if secret else ""
    if known and (len(known) < MIN_SECRET_CHARS or len(set(known)) < MIN_SECRET_DISTINCT_CHARS):
        reason = (
            f"SHARED_SECRET is too weak for {host}, which others reach: it needs {MIN_SECRET_CHARS} characters, "
            f"{MIN_SECRET_DISTINCT_CHARS} of them different; `openssl rand -hex 24` makes a good one"
        )
        raise InvalidRequest("orchestrator.weak_secret", reason)


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach a server bound to `host`."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _non_empty(secret: SecretStr | None) -> SecretStr | None:
    """Return None for an empty secret, which must not pass as a known one."""
    return secret if secret and secret.get_secret_value() else None


class AccessMiddleware:
    """ASGI middleware that enforces an `AccessPolicy`."""

    def __init__(self, app: ASGIApp, policy: AccessPolicy, secret_check: SecretCheck | None = None) -> None:
        self._app = app
        self._policy = policy
        self._secret_check = secret_check or SecretCheck(policy.secret)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        with ExitStack() as held:
            try:
                caller = self._check(scope)
                if _opens_session(scope):
                    held.enter_context(self._secret_check.key_limits.open_session(caller))
            except Denied as error:
                ERRORS.labels(error.code).inc()
                self._secret_check.record_refusal(error, *peer_of(scope))
                await _send_denial(error, scope, receive, send)
                return
            attach_caller(scope, caller)
            await self._app(scope, receive, send)

    def _check(self, scope: Scope) -> Caller:
        tokens = _pop_tokens(scope) if scope["type"] == "websocket" else ()
        if self._is_open(scope["path"]):
            return Caller()
        headers = Headers(scope=scope)
        host = headers.get("host", "").lower()
        if self._policy.hosts is not None and _without_port(host) not in self._policy.hosts:
            raise Forbidden("orchestrator.foreign_host", f"{host[:80]!r} is not an allowed host name of this server")
        origin = headers.get("origin")
        changes = scope["type"] == "websocket" or scope["method"] not in _SAFE_METHODS
        if origin is not None and changes and not self._allows_origin(origin.lower(), host):
            raise Forbidden("orchestrator.foreign_origin", f"web pages of {origin[:80]!r} are not allowed here")
        # Headers are bytes: Starlette decodes them as Latin-1, clients encode them as UTF-8.
        authorization = headers.get("authorization", "").encode("latin-1").decode("utf-8", "surrogateescape")
        tokens = (bearer_token(authorization), *tokens)
        return self._secret_check.require(
            tokens, *peer_of(scope), scope_of(scope), single_use=scope["type"] == "websocket"
        )

    def _is_open(self, path: str) -> bool:
        below = (name[:-1] for name in self._policy.open_paths if name.endswith("/*"))
        return path in self._policy.open_paths or any(path.startswith(prefix) for prefix in below)

    def _allows_origin(self, origin: str, host: str) -> bool:
        return origin in self._policy.origins or (host != "" and _host_of(origin) == host)


def scope_of(scope: Scope) -> KeyScope:
    """The scope that a key needs for a request."""
    path = scope["path"].rstrip("/") + "/"
    if path.startswith("/stored/"):
        return KeyScope.DATA
    if path.startswith("/memory/"):
        return KeyScope.ENGINES
    reads = scope["type"] == "http" and scope["method"] in _SAFE_METHODS
    if path.startswith("/v1/audio/voice_consents/") or (path.startswith("/v1/audio/voices/") and not reads):
        return KeyScope.VOICES
    return KeyScope.TALK


def peer_of(scope: Scope) -> tuple[str, str]:
    """The address of the connection, and the header `X-Forwarded-For`."""
    peer = scope.get("client") or ("", 0)
    return peer[0], Headers(scope=scope).get("x-forwarded-for", "")


def _opens_session(scope: Scope) -> bool:
    return scope["type"] == "websocket" or (scope["method"] == "POST" and scope["path"].rstrip("/") == "/interact")


def guard(app: Starlette, policy: AccessPolicy, secret_check: SecretCheck | None = None) -> None:
    """Enforce `policy` on `app`, and let pages of its origins read the answers (CORS).

    `secret_check` is shared with other APIs; without it, the app has its own. Preflight requests carry no secret, so
    they are answered before the check. Pages of other origins get no headers.
    """
    secret_check = secret_check or SecretCheck(policy.secret)
    app.add_middleware(
        AuditMiddleware, audit=secret_check.audit, address_of=lambda scope: secret_check.address_of(*peer_of(scope))
    )
    app.add_middleware(AccessMiddleware, policy=policy, secret_check=secret_check)
    if policy.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=policy.origins,
            allow_methods=_CORS_METHODS,
            allow_headers=_CORS_REQUEST_HEADERS,
            expose_headers=CORS_ANSWER_HEADERS,
            max_age=600,
        )


def _host_of(origin: str) -> str:
    """The host and port of an origin; empty for text that is none."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdecimal() else host


def _pop_tokens(scope: Scope) -> tuple[str, ...]:
    """Remove `token` from a WebSocket's query string and return its readings; browsers cannot set headers there.

    A plus sign is itself for most who write an address, and a space in a form: both readings count. The token is
    removed because the server logs the full address from the scope when it accepts or refuses a connection.
    """
    pairs = scope["query_string"].decode("latin-1").split("&")
    scope["query_string"] = "&".join(pair for pair in pairs if not _is_token(pair)).encode("latin-1")
    written = next((pair.partition("=")[2] for pair in pairs if _is_token(pair)), None)
    return () if written is None else (unquote(written), unquote_plus(written))


def _is_token(pair: str) -> bool:
    return unquote_plus(pair.partition("=")[0]) == "token"


async def _send_denial(error: Denied, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http" or "websocket.http.response" in scope.get("extensions", {}):
        await error_response(error)(scope, receive, send)
    else:
        await send({"type": "websocket.close", "code": error.websocket_close_code, "reason": error.code})
