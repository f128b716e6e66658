"""The check of the shared secret: guesses are slowed by address, within bounds."""

from __future__ import annotations

import logging

import httpx
import pytest
from api_support import FakeSessions, serve_apis
from orchestrator.api.access import AccessMiddleware, AccessPolicy
from orchestrator.api.secret_check import (
    GUESS_BURST,
    GUESSES_PER_S,
    MAX_ADDRESSES,
    Forbidden,
    SecretCheck,
    TooManyGuesses,
    grpc_address,
)
from pydantic import SecretStr
from service_kit.errors import Denied
from service_kit.http.api_keys import Scope, new_api_key

SECRET = SecretStr("the right one")
RIGHT = SECRET.get_secret_value()
OTHER = "198.51.100.9"
ADDRESS = "192.0.2.7"


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def check(clock: Clock) -> SecretCheck:
    return SecretCheck(SECRET, now_s=clock)


def guess(check: SecretCheck, count: int, peer: str = ADDRESS, forwarded_for: str = "", start: int = 0) -> None:
    for number in range(start, start + count):
        with pytest.raises(Denied, match="is wrong"):
            check.require([f"guess {number}"], peer, forwarded_for)


def test_an_address_that_guesses_is_refused_with_the_right_secret_too(check: SecretCheck, clock: Clock) -> None:
    guess(check, GUESS_BURST + 1)
    for token in ("another guess", RIGHT):
        with pytest.raises(TooManyGuesses, match="in 5 s") as refused:
            check.require([token], ADDRESS)
        assert refused.value.retry_after_s == 1 / GUESSES_PER_S
    check.require([RIGHT], OTHER)
    clock.now_s += 1 / GUESSES_PER_S
    check.require([RIGHT], ADDRESS)


def test_an_address_may_guess_at_the_stated_rate_for_ever(check: SecretCheck, clock: Clock) -> None:
    began_s, right = clock.now_s, 0
    for number in range(100_000):
        clock.now_s += 0.01
        try:
            check.require([f"guess {number}"], ADDRESS)
        except TooManyGuesses:
            continue
        except Denied:
            right += 1
    assert right <= GUESS_BURST + 1 + GUESSES_PER_S * (clock.now_s - began_s)


def test_a_page_with_an_outdated_secret_does_not_lock_its_address_out(check: SecretCheck) -> None:
    for _ in range(10 * GUESS_BURST):
        with pytest.raises(Denied, match="is wrong"):
            check.require(["outdated"], ADDRESS)
        with pytest.raises(Denied, match="is missing"):
            check.require([""], ADDRESS)
    check.require([RIGHT], ADDRESS)


def test_readings_of_one_token_are_one_guess(check: SecretCheck) -> None:
    guess(check, GUESS_BURST - 1)
    with pytest.raises(Denied, match="is wrong"):
        check.require(["", "a+b", "a b"], ADDRESS)
    check.require(["", "another", RIGHT], ADDRESS)


def test_without_a_secret_every_caller_passes() -> None:
    for none in (None, SecretStr("")):
        SecretCheck(none).require([], ADDRESS)


def test_a_network_of_ipv6_counts_as_one_address(check: SecretCheck) -> None:
    for number in range(GUESS_BURST + 1):
        guess(check, 1, f"2001:db8:1:2::{number:x}", start=number)
    with pytest.raises(TooManyGuesses):
        check.require([RIGHT], "2001:db8:1:2:ffff::1")
    check.require([RIGHT], "2001:db8:1:3::1")
    guess(check, GUESS_BURST + 1, f"::ffff:{ADDRESS}")
    with pytest.raises(TooManyGuesses):
        check.require([RIGHT], ADDRESS)


@pytest.mark.parametrize(
    ("peer", "behind_proxy", "believed"),
    [("127.0.0.1", False, True), ("::1", False, True), ("172.18.0.5", True, True), ("192.168.1.5", False, False)],
)
def test_only_a_proxy_names_the_address_of_its_client(peer: str, behind_proxy: bool, believed: bool) -> None:
    check = SecretCheck(SECRET, behind_proxy=behind_proxy, now_s=Clock())
    for number in range(GUESS_BURST + 1):
        # What a client claims stands before what the proxy has seen.
        guess(check, 1, peer, f"203.0.113.{number}, {ADDRESS}", start=number)
    with pytest.raises(TooManyGuesses):
        check.require([RIGHT], peer, ADDRESS)
    if believed:
        check.require([RIGHT], peer, OTHER)
        check.require([RIGHT], peer, "no address")
    else:
        with pytest.raises(TooManyGuesses):
            check.require([RIGHT], peer, OTHER)


def test_addresses_in_memory_are_bounded(check: SecretCheck) -> None:
    guess(check, GUESS_BURST + 1)
    for number in range(MAX_ADDRESSES + 100):
        guess(check, 1, f"10.{number // 65_536}.{number // 256 % 256}.{number % 256}")
    assert len(check._guesses) == MAX_ADDRESSES
    check.require([RIGHT], ADDRESS)


def test_guesses_are_logged_within_bounds_and_without_the_secret(
    check: SecretCheck, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(200):
        guess(check, 1, f"10.0.0.{number}")
    assert {(record.levelno, record.message) for record in caplog.records} == {(logging.WARNING, "wrong secret")}
    assert 10 <= len(caplog.records) <= 30
    assert vars(caplog.records[0])["address"] == "10.0.0.0"
    assert "guess 0" not in str([vars(record) for record in caplog.records])


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:192.0.2.7:4242", "192.0.2.7"),
        ("ipv6:%5B2001:db8::1%5D:4242", "2001:db8::1"),
        ("ipv6:[2001:db8::1]:4242", "2001:db8::1"),
        ("unix:/run/anchor.sock", ""),
    ],
)
def test_address_of_a_grpc_peer(peer: str, address: str) -> None:
    assert grpc_address(peer) == address


TOKENS = {scope: new_api_key(scope, frozenset({scope})) for scope in Scope}
KEYS = [key for _, key in TOKENS.values()]


@pytest.mark.parametrize("secret", [SECRET, None])
def test_a_key_passes_for_its_scopes_only(secret: SecretStr | None) -> None:
    check = SecretCheck(secret, keys=KEYS, now_s=Clock())
    for scope, (token, _) in TOKENS.items():
        check.require([token], ADDRESS, scope=scope)
        for other in set(Scope) - {scope}:
            with pytest.raises(Forbidden, match=f"the key {scope} has not the scope {other}"):
                check.require([token], ADDRESS, scope=other)
    with pytest.raises(Denied, match="is missing"):
        check.require([], ADDRESS)
    for scope in Scope if secret else ():
        check.require([RIGHT], ADDRESS, scope=scope)


def test_a_digest_or_a_part_of_a_token_is_no_key() -> None:
    token, key = TOKENS[Scope.TALK]
    check = SecretCheck(None, keys=KEYS, now_s=Clock())
    for wrong in (key.digest, token[:-1], token + "x", str(key)):
        with pytest.raises(Denied, match="is wrong"):
            check.require([wrong], ADDRESS)


def test_guesses_at_keys_are_slowed_too() -> None:
    check = SecretCheck(None, keys=KEYS, now_s=Clock())
    guess(check, GUESS_BURST + 1)
    with pytest.raises(TooManyGuesses):
        check.require([TOKENS[Scope.TALK][0]], ADDRESS)


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "/stored", Scope.DATA),
        ("DELETE", "/stored", Scope.DATA),
        ("GET", "/memory", Scope.ENGINES),
        ("POST", "/memory/llm/park", Scope.ENGINES),
        ("POST", "/v1/audio/voices", Scope.VOICES),
        ("DELETE", "/v1/audio/voices/x", Scope.VOICES),
        ("GET", "/v1/audio/voice_consents", Scope.VOICES),
        ("GET", "/v1/audio/voices", Scope.TALK),
        ("POST", "/v1/audio/speech", Scope.TALK),
        ("POST", "/interact", Scope.TALK),
        ("DELETE", "/conversation/x", Scope.TALK),
    ],
)
async def test_middleware_asks_for_the_scope_of_a_request(method: str, path: str, scope: Scope) -> None:
    check = SecretCheck(SECRET, keys=KEYS)
    let_in: list[str] = []

    async def app(scope: object, receive: object, send: object) -> None:
        let_in.append("app")

    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(AccessMiddleware(app, AccessPolicy(secret=SECRET), check)),  # type: ignore[arg-type]
        base_url="http://localhost",
    ) as http:
        for other in set(Scope) - {scope}:
            refused = await http.request(method, path, headers={"Authorization": f"Bearer {TOKENS[other][0]}"})
            assert (refused.status_code, refused.json()["error"]["code"]) == (403, "orchestrator.key_scope")
        assert let_in == []
        with pytest.raises(AssertionError):
            # The app behind the check answers nothing.
            await http.request(method, path, headers={"Authorization": f"Bearer {TOKENS[scope][0]}"})
    assert let_in == ["app"]


async def test_http_answers_a_guesser_with_429_and_a_time() -> None:
    policy = AccessPolicy(secret=SECRET)
    async with serve_apis(FakeSessions(), policy=policy) as host, httpx.AsyncClient(base_url=f"http://{host}") as http:
        statuses = [
            (await http.get("/conversation/x", headers={"Authorization": f"Bearer guess {number}"})).status_code
            for number in range(GUESS_BURST + 1)
        ]
        refused = await http.get("/conversation/x", headers={"Authorization": f"Bearer {RIGHT}"})
        assert (await http.get("/health")).status_code == 200
    assert set(statuses) == {401}
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "orchestrator.too_many_guesses")
    assert 1 <= int(refused.headers["retry-after"]) <= 5
    assert "www-authenticate" not in refused.headers
