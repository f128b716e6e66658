"""`/ws/captions` over a real server."""

from __future__ import annotations

import asyncio
import json
import logging

import httpx
import pytest
from api_support import FakeSessions, serve_apis
from orchestrator.api.access import AccessPolicy
from orchestrator.api.limits import ApiLimits
from orchestrator.api.secret_check import SecretCheck
from orchestrator.api.streaming.captions import PATH
from orchestrator.conversation.connection.caption_feed import MAX_WATCHERS, CaptionFeed
from orchestrator.conversation.messages.server import ReplyStarted, ReplyText, TurnCommitted, TurnSpoken
from pydantic import SecretStr
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

KEY = "watch_abc"
SECRET = SecretStr("the right one")
POLICY = AccessPolicy(secret=SECRET, open_paths=(PATH,))


@pytest.fixture
def feed():
    return CaptionFeed()


@pytest.fixture
def sessions(feed):
    return FakeSessions(feeds={KEY: feed})


async def watch(host: str, first: object = None) -> ClientConnection:
    client = await connect(f"ws://{host}{PATH}", compression=None)
    await client.send(json.dumps({"type": "watch", "key": KEY} if first is None else first))
    return client


async def receive(client: ClientConnection) -> dict[str, object]:
    return json.loads(await asyncio.wait_for(client.recv(), 20))


async def refusal(client: ClientConnection) -> tuple[str, int]:
    """The code of the error, and that with which the socket closes."""
    error = await receive(client)
    assert error["type"] == "error"
    with pytest.raises(ConnectionClosed):
        await asyncio.wait_for(client.recv(), 20)
    assert client.close_reason == error["code"]
    return str(error["code"]), client.close_code or 0


async def test_a_watcher_reads_the_captions_and_nothing_else(sessions, feed):
    async with serve_apis(sessions, policy=POLICY) as host, await watch(host) as client:
        await asyncio.sleep(0.05)
        feed.record(TurnCommitted(1, "how long does the ferry take"))
        first = await receive(client)
        feed.record(ReplyStarted(1, "briefing"))
        feed.record(ReplyText(1, "Twenty minutes."))
        feed.record(TurnSpoken(1, None, None, None, None, "anchor", "Nora", "hibari", "en"))
        feed.on_heard(1, 100)
        while not (last := await receive(client))["spoken_chars"]:
            pass
    assert first["user_text"] == "how long does the ferry take"
    assert last == {
        "type": "caption",
        "turn_id": 1,
        "user_text": "how long does the ferry take",
        "user_language": "",
        "user_final": True,
        "speaker": "Nora",
        "reply_text": "Twenty minutes.",
        "reply_language": "en",
        "spoken_chars": 15,
        "over": False,
        "removed": False,
    }


async def test_the_watch_key_needs_no_secret_and_the_secret_is_no_watch_key(sessions, caplog):
    caplog.set_level(logging.DEBUG)
    check = SecretCheck(SECRET)
    async with serve_apis(sessions, policy=POLICY, secret_check=check) as host:
        async with await watch(host) as client:
            await asyncio.sleep(0.05)
            await client.close()
        async with await watch(host, {"type": "watch", "key": SECRET.get_secret_value()}) as client:
            assert await refusal(client) == ("watch.unknown_key", 1008)
    lines = [record for record in caplog.records if record.name == "audit"]
    assert [(vars(line)["event"], vars(line).get("code")) for line in lines] == [
        ("captions_watched", None),
        ("refused", "watch.unknown_key"),
    ]
    # The clients of this test log what they send.
    of_server = [vars(record) for record in caplog.records if not record.name.startswith(("websockets", "uvicorn"))]
    assert KEY not in str(of_server)


async def test_the_key_is_issued_to_those_who_know_ticket_and_secret(sessions):
    async with serve_apis(sessions, policy=POLICY) as host, httpx.AsyncClient(base_url=f"http://{host}") as http:
        headers = {"Authorization": f"Bearer {SECRET.get_secret_value()}"}
        ticket = (await http.post("/conversation/start", json={}, headers=headers)).json()["ticket"]
        assert (await http.post(f"/conversation/{ticket}/watch")).status_code == 401
        assert (await http.post("/conversation/none/watch", headers=headers)).status_code == 404
        issued = await http.post(f"/conversation/{ticket}/watch", headers=headers)
    assert issued.json() == {"watch_key": f"watch_{ticket}"}
    assert issued.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "first",
    [
        "watch",
        [],
        {},
        {"type": "watch"},
        {"type": "watch", "key": 7},
        {"type": "watch", "key": "x" * 300},
        {"type": "session_start", "key": KEY},
        {"type": "watch", "key": KEY, "ticket": "t"},
    ],
)
async def test_a_first_frame_without_a_key_is_refused(sessions, first):
    async with serve_apis(sessions, policy=POLICY) as host, await watch(host, first) as client:
        assert await refusal(client) == ("watch.bad_message", 1008)


async def test_a_watcher_that_sends_anything_more_is_disconnected(sessions, feed):
    async with serve_apis(sessions, policy=POLICY) as host, await watch(host) as client:
        await client.send(json.dumps({"type": "text_input", "text": "hello"}))
        assert await refusal(client) == ("watch.bad_message", 1008)
        assert sessions.commands == []


async def test_watchers_of_a_session_and_of_all_are_bounded(sessions, feed):
    limits = ApiLimits(max_watchers=MAX_WATCHERS + 1)
    sessions.feeds["watch_other"] = CaptionFeed()
    async with serve_apis(sessions, limits, POLICY) as host:
        clients = [await watch(host) for _ in range(MAX_WATCHERS)]
        await asyncio.sleep(0.1)
        assert await refusal(await watch(host)) == ("watch.at_capacity", 1013)
        clients.append(await watch(host, {"type": "watch", "key": "watch_other"}))
        await asyncio.sleep(0.1)
        assert await refusal(await watch(host, {"type": "watch", "key": "watch_other"})) == ("watch.at_capacity", 1013)
        # One that leaves makes room.
        await clients[0].close()
        await asyncio.sleep(0.1)
        clients.append(await watch(host))
        await asyncio.sleep(0.1)
        feed.record(TurnCommitted(1, "hello"))
        assert (await receive(clients[-1]))["user_text"] == "hello"
        for client in clients:
            await client.close()


async def test_those_without_a_key_wait_briefly_and_keep_no_watcher_out(sessions, feed):
    limits = ApiLimits(max_pending_watchers=2, first_message_timeout_s=0.5)
    async with serve_apis(sessions, limits, POLICY) as host:
        watcher = await watch(host)
        await asyncio.sleep(0.05)
        silent = [await connect(f"ws://{host}{PATH}") for _ in range(2)]
        await asyncio.sleep(0.05)
        assert await refusal(await connect(f"ws://{host}{PATH}")) == ("watch.at_capacity", 1013)
        feed.record(TurnCommitted(1, "hello"))
        assert (await receive(watcher))["user_text"] == "hello"
        for client in silent:
            assert await refusal(client) == ("watch.bad_message", 1008)
        await watcher.close()


async def test_a_watcher_is_told_that_the_session_is_over(sessions, feed):
    async with serve_apis(sessions, policy=POLICY) as host, await watch(host) as client:
        await asyncio.sleep(0.05)
        feed.record(TurnCommitted(1, "hello"))
        feed.close()
        assert (await receive(client))["user_text"] == "hello"
        assert await refusal(client) == ("watch.session_over", 1013)
