"""Limits of single keys: sessions at one time, requests a minute."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, ExitStack

import httpx
import pytest
from api_support import FakeSessions, serve_apis
from orchestrator.api.access import AccessPolicy
from orchestrator.api.callers import Caller
from orchestrator.api.key_limits import KeyLimits, Throttled
from orchestrator.api.secret_check import SecretCheck
from pydantic import SecretStr
from service_kit.http.api_keys import ApiKey, Scope, new_api_key
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

SECRET = SecretStr("the right one")
TALK = frozenset({Scope.TALK})
KITCHEN = Caller("kitchen", TALK)


def limits_of(**limits: int) -> KeyLimits:
    keys = [ApiKey("kitchen", TALK, "0" * 64, **limits), ApiKey("studio", TALK, "1" * 64)]
    return KeyLimits(keys, asyncio.get_running_loop().time)


@pytest.mark.virtual_clock
async def test_a_key_sends_no_more_requests_a_minute_than_it_may() -> None:
    limits = limits_of(per_minute=3)
    for _ in range(3):
        limits.count_request(KITCHEN)
        await asyncio.sleep(10)
    for wait_s in (30, 29):
        with pytest.raises(
            Throttled, match=f"kitchen may send 3 requests a minute; try again in {wait_s} s"
        ) as refused:
            limits.count_request(KITCHEN)
        assert (refused.value.code, refused.value.retry_after_s) == ("orchestrator.key_rate", wait_s)
        await asyncio.sleep(1)
    await asyncio.sleep(28)
    # The first is a minute ago, the second is not; the refused ones do not count.
    limits.count_request(KITCHEN)
    with pytest.raises(Throttled, match="in 10 s"):
        limits.count_request(KITCHEN)


@pytest.mark.virtual_clock
async def test_a_key_has_no_more_sessions_open_than_it_may() -> None:
    limits = limits_of(max_sessions=2)
    with ExitStack() as open_sessions:
        for _ in range(2):
            open_sessions.enter_context(limits.open_session(KITCHEN))
        with (
            pytest.raises(Throttled, match="kitchen may have 2 sessions open") as refused,
            limits.open_session(KITCHEN),
        ):
            pytest.fail("a third session is open")
        assert refused.value.code == "orchestrator.key_sessions"
    with pytest.raises(RuntimeError), limits.open_session(KITCHEN):
        raise RuntimeError("a session that fails")
    with limits.open_session(KITCHEN), limits.open_session(KITCHEN):
        pass


@pytest.mark.virtual_clock
async def test_the_secret_and_keys_without_limits_are_not_limited() -> None:
    limits = limits_of(per_minute=1, max_sessions=1)
    with ExitStack() as open_sessions:
        for caller in (Caller(), Caller("studio", TALK), Caller("unknown", TALK)) * 20:
            limits.count_request(caller)
            open_sessions.enter_context(limits.open_session(caller))


async def test_every_api_refuses_a_key_beyond_its_limits_and_no_other() -> None:
    token, key = new_api_key("kitchen", TALK, max_sessions=1, per_minute=5)
    check = SecretCheck(SECRET, keys=[key])
    served = serve_apis(FakeSessions(), policy=AccessPolicy(secret=SECRET), secret_check=check)
    own, others = ({"Authorization": f"Bearer {each}"} for each in (token, SECRET.get_secret_value()))
    async with AsyncExitStack() as stack:
        host = await stack.enter_async_context(served)
        http = await stack.enter_async_context(httpx.AsyncClient(base_url=f"http://{host}"))
        page_token = (await http.post("/access/token", headers=own)).json()["token"]
        # A session that a page opens with a single-use token is one of the key that requested it.
        page: ClientConnection = await stack.enter_async_context(connect(f"ws://{host}/ws/audio?token={page_token}"))
        with pytest.raises(InvalidStatus) as second:
            async with connect(f"ws://{host}/ws", additional_headers=own):
                pass
        assert (second.value.response.status_code, second.value.response.headers["retry-after"]) == (429, "5")
        asked = await http.post("/interact", headers=own, data={"text": "hello"})
        assert (asked.status_code, asked.json()["error"]["code"]) == (429, "orchestrator.key_sessions")
        await page.close()
        async with asyncio.timeout(10):
            while (asked := await http.post("/interact", headers=others, data={"text": "hello"})).status_code != 200:
                await asyncio.sleep(0.01)
        assert (await http.post("/interact", headers=own, data={"text": "hello"})).status_code == 200
        refused = await http.post("/conversation/start", headers=own, json={})
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "orchestrator.key_rate")
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert (await http.post("/conversation/start", headers=others, json={})).status_code == 201
