"""Single-use tokens: one WebSocket each, within a minute, with no more than the scopes of who requested them."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from api_support import FakeSessions, serve_apis
from orchestrator.api.access import AccessPolicy
from orchestrator.api.callers import Caller
from orchestrator.api.secret_check import SecretCheck
from orchestrator.api.single_use_tokens import LIFETIME_S, MAX_TOKENS_PER_CALLER, SingleUseTokens
from pydantic import SecretStr
from service_kit.errors import Denied
from service_kit.http.api_keys import Scope, new_api_key
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

SECRET = SecretStr("the right one")
ADDRESS = "192.0.2.7"
KITCHEN = Caller("kitchen", frozenset({Scope.TALK, Scope.DATA}))


@pytest.mark.virtual_clock
async def test_a_token_opens_one_websocket() -> None:
    tokens = SingleUseTokens(asyncio.get_running_loop().time)
    token = tokens.issue(KITCHEN)
    assert tokens.redeem(token) == Caller("kitchen", frozenset({Scope.TALK}))
    assert tokens.redeem(token) is None
    assert tokens.redeem(token[:-1]) is None


@pytest.mark.virtual_clock
async def test_a_token_expires_after_its_lifetime() -> None:
    tokens = SingleUseTokens(asyncio.get_running_loop().time)
    early, late = tokens.issue(KITCHEN), tokens.issue(KITCHEN)
    await asyncio.sleep(LIFETIME_S - 0.1)
    assert tokens.redeem(early) is not None
    await asyncio.sleep(0.1)
    assert tokens.redeem(late) is None


def test_tokens_in_memory_are_bounded_for_each_caller() -> None:
    tokens = SingleUseTokens()
    of_others = tokens.issue(Caller())
    issued = [tokens.issue(KITCHEN) for _ in range(2 * MAX_TOKENS_PER_CALLER)]
    assert [tokens.redeem(token) is None for token in issued] == [True] * 64 + [False] * 64
    assert tokens.redeem(of_others) == Caller("", frozenset({Scope.TALK}))


def test_a_single_use_token_passes_only_where_it_is_asked_for() -> None:
    check = SecretCheck(SECRET)
    token = check.single_use_tokens.issue(KITCHEN)
    with pytest.raises(Denied, match="is wrong"):
        check.require([token], ADDRESS)
    with pytest.raises(Denied, match="is wrong"):
        check.require([token + "x"], ADDRESS, single_use=True)
    assert check.require(["", token], ADDRESS, single_use=True).scopes == {Scope.TALK}
    with pytest.raises(Denied, match="is wrong"):
        check.require([token], ADDRESS, single_use=True)


@pytest.mark.parametrize("scope", sorted(set(Scope) - {Scope.TALK}))
def test_a_single_use_token_has_no_scope_but_that_of_conversations(scope: Scope) -> None:
    check = SecretCheck(SECRET)
    with pytest.raises(Denied):
        check.require([check.single_use_tokens.issue(Caller())], ADDRESS, scope=scope, single_use=True)
    of_key = check.single_use_tokens.issue(Caller("studio", frozenset({scope})))
    with pytest.raises(Denied):
        check.require([of_key], ADDRESS, single_use=True)


async def refused_status(url: str) -> int:
    with pytest.raises(InvalidStatus) as refused:
        async with connect(url):
            pass
    return refused.value.response.status_code


async def test_a_page_talks_with_a_token_and_can_do_nothing_else_with_it() -> None:
    (talking, kitchen), (listing, archive) = (
        new_api_key(name, frozenset({scope})) for name, scope in (("kitchen", Scope.TALK), ("archive", Scope.DATA))
    )
    check = SecretCheck(SECRET, keys=(kitchen, archive))
    served = serve_apis(FakeSessions(), policy=AccessPolicy(secret=SECRET), secret_check=check)
    async with served as host, httpx.AsyncClient(base_url=f"http://{host}") as http:

        async def request(credential: str) -> httpx.Response:
            return await http.post("/access/token", headers={"Authorization": f"Bearer {credential}"})

        assert (await http.post("/access/token")).status_code == 401
        refused = await request(listing)
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "orchestrator.key_scope")
        answer = await request(talking)
        assert (answer.status_code, answer.json()["expires_in_s"]) == (201, LIFETIME_S)
        assert answer.headers["cache-control"] == "no-store"
        token = answer.json()["token"]
        # Neither as a credential of REST, nor to request another token.
        assert (await request(token)).status_code == 401
        async with connect(f"ws://{host}/ws/audio?token={token}") as websocket:
            await websocket.send('{"type": "session_start"}')
            assert "session_started" in str(await websocket.recv())
        assert await refused_status(f"ws://{host}/ws/audio?token={token}") == 401
        token = (await request(SECRET.get_secret_value())).json()["token"]
        assert await refused_status(f"ws://{host}/ws?token={token}x") == 401
        async with connect(f"ws://{host}/ws?token={token}"):
            pass
