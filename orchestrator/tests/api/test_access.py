"""Access control over a real server: secret, origin and host."""

from __future__ import annotations

import logging
from dataclasses import replace

import httpx
import pytest
from api_support import FakeSessions, serve_apis
from client_codec import client_to_json, server_from_json
from orchestrator.api.access import (
    CORS_ANSWER_HEADERS,
    AccessMiddleware,
    AccessPolicy,
    access_policy,
    check_bind_address,
    is_loopback,
)
from orchestrator.api.http.answer_format import to_headers
from orchestrator.api.streaming.one_shot import OneShotAnswer
from orchestrator.conversation.messages.client import SessionStart
from orchestrator.conversation.messages.server import Error, SessionStarted
from pydantic import SecretStr
from service_kit.errors import InvalidRequest
from websockets import InvalidStatus
from websockets.asyncio.client import connect

SECRET = SecretStr("s3cr+t/é")
BEARER = {"Authorization": "Bearer s3cr+t/é".encode()}
# Good enough for a server that others reach.
STRONG = SecretStr("8c41f0d2a97b35e6")


@pytest.fixture
def sessions():
    return FakeSessions()


@pytest.fixture
async def guarded(sessions):
    local = access_policy("127.0.0.1", SECRET, origins=["https://studio.example/"])
    policy = replace(local, hosts=(*(local.hosts or ()), "anchor.local"))
    async with serve_apis(sessions, policy=policy) as host:
        yield host


@pytest.fixture
async def unguarded(sessions):
    async with serve_apis(sessions, policy=access_policy("localhost", None)) as host:
        yield host


async def handshake(host: str, query: str = "", path: str = "/ws/audio", **headers: str) -> int:
    """Return the HTTP status of a WebSocket handshake."""
    try:
        async with connect(f"ws://{host}{path}{query}", additional_headers=headers) as client:
            if path == "/ws/audio":
                await client.send(client_to_json(SessionStart()))
                assert isinstance(server_from_json(str(await client.recv())), SessionStarted)
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


async def test_websocket_without_the_secret_is_not_accepted(guarded, sessions):
    assert await handshake(guarded) == 401
    assert await handshake(guarded, "?token=wrong") == 401
    assert await handshake(guarded, "?token=") == 401
    assert await handshake(guarded, path="/ws") == 401
    assert await handshake(guarded, Authorization="Basic s3cr+t") == 401
    assert sessions.starts == []


async def test_secret_is_read_from_header_or_query(sessions, guarded):
    assert await handshake(guarded, "?token=s3cr%2Bt%2F%C3%A9&x=1") == 101
    async with serve_apis(sessions, policy=AccessPolicy(secret=SecretStr("plain"))) as host:
        assert await handshake(host, Authorization="bearer plain") == 101
        assert await handshake(host, Authorization="Bearer plainer") == 401


@pytest.mark.parametrize(
    "query", ["?token=s3cr+t/é", "?x=1&token=s3cr+t%2F%C3%A9", "?token=s3cr%2Bt%2f%c3%a9", "?tok%65n=s3cr+t/%C3%A9"]
)
async def test_a_plus_sign_in_a_token_is_itself(guarded, query):
    assert await handshake(guarded, query) == 101


async def test_a_plus_sign_in_a_token_may_be_a_space(sessions):
    async with serve_apis(sessions, policy=AccessPolicy(secret=SecretStr("two words"))) as host:
        assert await handshake(host, "?token=two+words") == 101
        assert await handshake(host, "?token=two%20words") == 101
        assert await handshake(host, "?token=two%2Bwords") == 401
        assert await handshake(host, "?token") == 401


async def test_secret_is_not_logged(guarded, caplog):
    with caplog.at_level(logging.INFO, logger="uvicorn.error"):
        assert await handshake(guarded, "?token=s3cr%2Bt%2F%C3%A9&x=1") == 101
        assert await handshake(guarded, "?token=guessed") == 401
    assert "/ws/audio?x=1" in caplog.text
    assert "s3cr" not in caplog.text
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert "guessed" not in caplog.text


async def test_http_requires_the_secret_except_for_health(guarded):
    async with httpx.AsyncClient(base_url=f"http://{guarded}") as http:
        refused = await http.post("/conversation/start", json={})
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"] == "Bearer"
        assert refused.json() == {
            "error": {
                "code": "orchestrator.denied",
                "message": "the shared secret is missing",
                "retryable": False,
            }
        }
        # The query is for WebSockets only: URLs of pages and files are stored and shared.
        assert (await http.get("/conversation/x?token=s3cr%2Bt%2F%C3%A9")).status_code == 401
        assert (await http.get("/conversation/x", headers=BEARER)).status_code == 404
        assert (await http.get("/health")).status_code == 200
        assert (await http.get("/health/../conversation/x")).status_code == 401


async def test_foreign_origins_are_refused(guarded, unguarded):
    query = "?token=s3cr%2Bt%2F%C3%A9"
    assert await handshake(guarded, query, Origin="https://evil.example") == 403
    assert await handshake(guarded, query, Origin="null") == 403
    assert await handshake(guarded, query, Origin="http://[") == 403
    assert await handshake(guarded, query, Origin="https://STUDIO.example") == 101
    assert await handshake(unguarded, Origin=f"http://{unguarded}") == 101
    assert await handshake(unguarded, Origin="http://127.0.0.1:1") == 403
    assert await handshake(unguarded) == 101


async def test_foreign_page_cannot_send_changing_requests(unguarded):
    async with httpx.AsyncClient(base_url=f"http://{unguarded}", headers={"Origin": "https://evil.example"}) as http:
        for method, path in (("POST", "/conversation/start"), ("POST", "/interact"), ("DELETE", "/conversation/x")):
            answer = await http.request(method, path)
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, "orchestrator.foreign_origin")
        assert (await http.get("/conversation/x")).status_code == 404


async def test_foreign_host_names_are_refused(guarded, unguarded):
    async with httpx.AsyncClient(base_url=f"http://{unguarded}") as http:
        for name in ("evil.example", "evil.example:8080", "127.0.0.1.evil.example"):
            answer = await http.get("/conversation/x", headers={"Host": name})
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, "orchestrator.foreign_host")
        for name in ("localhost", "LOCALHOST:8080", "[::1]:8080", "127.0.0.1"):
            assert (await http.get("/conversation/x", headers={"Host": name})).status_code == 404
    async with httpx.AsyncClient(base_url=f"http://{guarded}", headers=BEARER) as http:
        assert (await http.get("/conversation/x", headers={"Host": "anchor.local:8443"})).status_code == 404
    async with httpx.AsyncClient(base_url=f"http://{unguarded}") as http:
        rebound = {"Host": "evil.example", "Origin": "http://evil.example"}
        assert (await http.post("/conversation/start", json={}, headers=rebound)).status_code == 403


def test_bind_beyond_loopback_requires_a_secret():
    for host in ("0.0.0.0", "::", "192.168.1.5", "anchor.example"):
        for missing in (None, SecretStr("")):
            with pytest.raises(InvalidRequest) as raised:
                check_bind_address(host, missing)
            assert raised.value.code == "orchestrator.secret_required"
        check_bind_address(host, STRONG)
    for host in ("127.0.0.1", "127.0.0.2", "::1", "[::1]", "localhost"):
        assert is_loopback(host)
        check_bind_address(host, None)


@pytest.mark.parametrize("weak", ["hush", "s3cr+t/é", "8c41f0d2a97b35e", "abcabcabcabcabcabcabc"])
def test_weak_secret_is_refused_where_others_reach_the_server(weak: str) -> None:
    for host, hosts in (("0.0.0.0", ()), ("127.0.0.1", ("localhost", "anchor.example"))):
        with pytest.raises(InvalidRequest, match="openssl rand") as raised:
            access_policy(host, SecretStr(weak), hosts=hosts)
        assert raised.value.code == "orchestrator.weak_secret"
        assert weak not in raised.value.message
        access_policy(host, STRONG, hosts=hosts)
    access_policy("127.0.0.1", SecretStr(weak), hosts=("localhost", "127.0.0.2"))


def test_host_names_are_checked_on_loopback_or_when_given():
    assert access_policy("0.0.0.0", STRONG).hosts is None
    assert "anchor.example" in (access_policy("0.0.0.0", STRONG, hosts=["Anchor.example"]).hosts or ())
    assert access_policy("127.0.0.1", SecretStr("")).secret is None


async def status_of(policy: AccessPolicy, scope: dict) -> list[dict]:
    """Return the messages that the middleware, or the app behind it, sends."""
    sent: list[dict] = []

    async def app(scope, receive, send):
        sent.append({"type": "let in"})

    async def send(message):
        sent.append(message)

    base = {"path": "/", "headers": [(b"host", b"localhost")], "query_string": b"", "method": "GET"}
    await AccessMiddleware(app, policy)({**base, **scope}, None, send)
    return sent


async def test_open_path_may_include_all_paths_below():
    policy = access_policy("127.0.0.1", SECRET, open_paths=["/", "/assets/*"])
    for path, let_in in (("/", True), ("/assets/a.js", True), ("/assets", False), ("/assetsx", False), ("/ws", False)):
        sent = await status_of(policy, {"type": "http", "path": path})
        assert (sent[0]["type"] == "let in") == let_in


async def test_handshake_is_closed_where_no_response_is_possible():
    sent = await status_of(AccessPolicy(secret=SECRET), {"type": "websocket"})
    assert sent == [{"type": "websocket.close", "code": 1008, "reason": "orchestrator.denied"}]


async def test_lifespan_events_pass_unchecked():
    assert await status_of(AccessPolicy(secret=SECRET), {"type": "lifespan"}) == [{"type": "let in"}]


LISTED, OTHER = "https://studio.example", "https://evil.example"


@pytest.fixture
async def shared(sessions):
    policy = access_policy("127.0.0.1", SECRET, origins=[LISTED])
    async with serve_apis(sessions, policy=policy) as host, httpx.AsyncClient(base_url=f"http://{host}") as http:
        yield http


async def test_pages_of_listed_origins_may_read_the_answers(shared):
    for path, headers, status in (("/conversation/x", BEARER, 404), ("/conversation/x", {}, 401), ("/health", {}, 200)):
        answer = await shared.get(path, headers={**headers, "Origin": LISTED})
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (status, LISTED)
        assert "Origin" in answer.headers["vary"]
        assert "x-anchor-reply" in answer.headers["access-control-expose-headers"].lower()
        other = await shared.get(path, headers={**headers, "Origin": OTHER})
        assert not [name for name in other.headers if name.startswith("access-control-allow")]


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_preflight_requests_of_listed_origins_need_no_secret(shared, method):
    asked = {
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "authorization, content-type",
    }
    allowed = await shared.options("/interact", headers={**asked, "Origin": LISTED})
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == LISTED
    assert method in allowed.headers["access-control-allow-methods"]
    assert "authorization" in allowed.headers["access-control-allow-headers"].lower()
    assert "access-control-allow-credentials" not in allowed.headers
    refused = await shared.options("/interact", headers={**asked, "Origin": OTHER})
    assert refused.status_code == 400
    assert "access-control-allow-origin" not in refused.headers


async def test_without_listed_origins_no_page_reads_anything(unguarded):
    async with httpx.AsyncClient(base_url=f"http://{unguarded}") as http:
        answer = await http.get("/health", headers={"Origin": OTHER})
        assert not [name for name in answer.headers if name.startswith("access-control")]


def test_pages_may_read_every_header_of_an_answer():
    answer = OneShotAnswer("t", 1, "q", "r", "en", "e", b"", False, None, Error("c", "m", retryable=False))
    assert to_headers(answer).keys() <= set(CORS_ANSWER_HEADERS)
