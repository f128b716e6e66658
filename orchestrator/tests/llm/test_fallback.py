"""The fallback model: one retry, then the fallback, and no word twice."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing

import pytest
from orchestrator.conversation.messages.server import ReplySource
from orchestrator.conversation.model.ports import Message, Persona, Prompt, ReplyPiece
from orchestrator.llm.circuit_breaker import CircuitBreaker
from orchestrator.llm.fallback import FallbackModel
from prometheus_client import REGISTRY
from service_kit.errors import InvalidRequest, PeerFailed

pytestmark = pytest.mark.virtual_clock

PERSONA = Persona(
    id="nadia",
    name="Nadia",
    instructions="",
    phrases={
        "en": {"fallback": "My main model is not answering; here is what I have on file."},
        "de": {"fallback": ""},
    },
)
PROMPT = Prompt(text="What is new?", language="en", persona=PERSONA)
NO_PHRASE = Prompt(text="What is new?", language="en", persona=Persona(id="x", name="X", instructions=""))


class Model:
    """Answers each request with its next script: text pieces, exceptions to raise, and None to hang."""

    def __init__(self, name: str, *scripts: list[str | Exception | None]) -> None:
        self.name = name
        self.asked = 0
        self.open = 0
        self.warmed: list[Prompt] = []
        self._scripts = scripts

    async def reply(self, prompt: Prompt) -> AsyncGenerator[str]:
        script = self._scripts[min(self.asked, len(self._scripts) - 1)]
        self.asked += 1
        self.open += 1
        try:
            for step in script:
                if isinstance(step, Exception):
                    raise step
                if step is None:
                    await asyncio.Event().wait()
                else:
                    yield step
        finally:
            self.open -= 1

    async def prefill(self, prompt: Prompt) -> None:
        self.warmed.append(prompt)


BROKEN = PeerFailed("llm.unreachable", "no server")


@pytest.fixture
def briefing() -> Model:
    return Model("briefing", ["On file: ", "nothing."])


@pytest.fixture
def model(briefing: Model) -> Callable[[Model], FallbackModel]:
    return lambda primary: FallbackModel(primary, briefing, CircuitBreaker(), first_token_s=0.05, max_reply_chars=300)


async def text_of(pieces: AsyncIterator[str]) -> str:
    return "".join([piece async for piece in pieces])


async def collect(pieces: AsyncIterator[str], heard: list[str]) -> None:
    async for piece in pieces:
        heard.append(piece)  # noqa: PERF401 - pieces before a failure count


def failures(code: str) -> float:
    labels = {"engine": "main", "code": code}
    return REGISTRY.get_sample_value("anchor_llm_failures_total", labels) or 0.0


async def test_healthy_model_answers(model, briefing: Model):
    anchor = model(Model("main", ["\n", "Good ", "evening."]))
    assert await text_of(anchor.reply(PROMPT)) == "\nGood evening."
    assert (anchor.name, briefing.asked) == ("main", 0)


async def test_first_piece_keeps_its_language(model):
    anchor = model(Model("main", [" ", ReplyPiece("Guten ", "de"), ReplyPiece("Abend.", "de")]))
    pieces = [piece async for piece in anchor.reply(PROMPT)]
    assert pieces == [" Guten ", "Abend."]
    assert [piece.language for piece in pieces] == ["de", "de"]


async def test_first_piece_keeps_its_sources(model):
    source = ReplySource("the ferry", "ferry.md", "It sails at six.", "en")
    anchor = model(Model("main", [ReplyPiece(" ", sources=(source,)), "It ", "sails."]))
    pieces = [piece async for piece in anchor.reply(PROMPT)]
    assert pieces == [" It ", "sails."]
    assert [ReplyPiece.of(piece).sources for piece in pieces] == [(source,), ()]


@pytest.mark.parametrize(
    ("first_try", "code"),
    [([BROKEN], "llm.unreachable"), ([None], "llm.silent"), ([], "llm.empty"), ([" ", "\n"], "llm.empty")],
)
async def test_first_failure_is_retried_silently(model, first_try: list[str | Exception | None], code: str):
    before = failures(code)
    primary = Model("main", first_try, ["Good evening."])
    anchor = model(primary)
    assert await text_of(anchor.reply(PROMPT)) == "Good evening."
    assert (anchor.name, primary.asked, primary.open) == ("main", 2, 0)
    assert failures(code) == before + 1


async def test_fallback_announces_itself_after_two_failures(model, briefing: Model):
    primary = Model("main", [BROKEN], [None])
    anchor = model(primary)
    said = await text_of(anchor.reply(PROMPT))
    assert said == "My main model is not answering; here is what I have on file. On file: nothing."
    assert (anchor.name, primary.asked, primary.open, briefing.asked) == ("briefing", 2, 0, 1)


async def test_next_turn_uses_the_main_model_again(model):
    anchor = model(Model("main", [BROKEN], [BROKEN], ["Back."]))
    await text_of(anchor.reply(PROMPT))
    assert await text_of(anchor.reply(PROMPT)) == "Back."
    assert anchor.name == "main"


async def test_fallback_answers_without_a_phrase_if_there_is_none(model):
    assert await text_of(model(Model("main", [BROKEN])).reply(NO_PHRASE)) == "On file: nothing."


async def test_permanent_failure_is_not_retried(model):
    class ForGood(PeerFailed):
        retryable = False

    primary = Model("main", [ForGood("llm.model_missing", "pull it")])
    assert (await text_of(model(primary).reply(PROMPT))).endswith("On file: nothing.")
    assert primary.asked == 1


async def test_failure_after_the_first_token_is_raised(model, briefing: Model):
    before = failures("llm.unreachable")
    primary = Model("main", ["Good ", BROKEN])
    heard: list[str] = []
    with pytest.raises(PeerFailed):
        await collect(model(primary).reply(PROMPT), heard)
    assert (heard, primary.asked, briefing.asked) == (["Good "], 1, 0)
    assert failures("llm.unreachable") == before + 1


async def test_invalid_request_is_not_passed_to_the_fallback(model, briefing: Model):
    primary = Model("main", [InvalidRequest("llm.text_too_long", "too long")])
    with pytest.raises(InvalidRequest):
        await text_of(model(primary).reply(PROMPT))
    assert (primary.asked, briefing.asked) == (1, 0)


async def test_closing_the_reply_stops_the_model(model):
    primary = Model("main", ["Good ", None])
    async with aclosing(model(primary).reply(PROMPT)) as pieces:
        assert await anext(pieces) == "Good "
        assert primary.open == 1
    assert primary.open == 0


async def test_cancellation_before_the_first_token_stops_the_model(model, briefing: Model):
    primary = Model("main", [None])
    anchor = FallbackModel(primary, briefing, CircuitBreaker(), first_token_s=60, max_reply_chars=300)
    task = asyncio.create_task(text_of(anchor.reply(PROMPT)))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (primary.open, briefing.asked) == (0, 0)


async def test_overlong_reply_ends_after_a_sentence(model):
    primary = Model("main", ["This is one sentence of forty characters. "] * 100)
    said = await text_of(model(primary).reply(PROMPT))
    assert 300 <= len(said) < 342
    assert said.endswith("characters. ")
    assert primary.open == 0


async def test_overlong_reply_without_sentences_ends(model):
    said = await text_of(model(Model("main", ["on and "] * 1000)).reply(PROMPT))
    assert 500 <= len(said) <= 510


async def test_only_the_main_model_is_prefilled(model: Callable[[Model], FallbackModel], briefing: Model):
    primary = Model("ollama", ["Good evening."])
    await model(primary).prefill(PROMPT)
    assert primary.warmed == [PROMPT]
    assert not briefing.warmed


async def test_open_breaker_skips_the_main_model(model, briefing: Model):
    primary = Model("main", [BROKEN])
    anchor = model(primary)
    for _ in range(4):
        await text_of(anchor.reply(PROMPT))
    assert (primary.asked, briefing.asked) == (4, 4)
    await anchor.prefill(PROMPT)
    assert not primary.warmed


async def test_started_reply_resets_the_failure_count(model):
    primary = Model("main", [BROKEN], [BROKEN], ["Back."], [BROKEN], [BROKEN], ["Back."])
    anchor = model(primary)
    said = [await text_of(anchor.reply(PROMPT)) for _ in range(4)]
    assert [each.endswith("Back.") for each in said] == [False, True, False, True]


def after(*heard: str) -> Prompt:
    """Return a prompt whose history contains these replies."""
    history = tuple(Message("anchor", text) for text in heard)
    return Prompt(text="What is new?", language="en", persona=PERSONA, history=history)


async def test_fallback_is_announced_once_and_not_every_turn(model):
    anchor = model(Model("main", [BROKEN]))
    first = await text_of(anchor.reply(after()))
    assert first.startswith("My main model is not answering")
    assert await text_of(anchor.reply(after(first))) == "On file: nothing."
    assert await text_of(anchor.reply(after(first, "On file: nothing."))) == "On file: nothing."


async def test_unheard_announcement_is_repeated(model):
    anchor = model(Model("main", [BROKEN]))
    await text_of(anchor.reply(after()))
    assert (await text_of(anchor.reply(after("My main")))).startswith("My main model is not answering")


async def test_announcement_is_repeated_after_a_minute(model, monkeypatch: pytest.MonkeyPatch):
    anchor = model(Model("main", [BROKEN]))
    first = await text_of(anchor.reply(after()))
    loop = asyncio.get_running_loop()
    true_time = loop.time
    monkeypatch.setattr(loop, "time", lambda: true_time() + 61)
    assert await text_of(anchor.reply(after(first))) == first


async def test_reasoning_does_not_count_as_length(briefing: Model, model: Callable[[Model], FallbackModel]):
    reasoning = ["<think>", *(["It may rain. "] * 100), "</think>"]
    answer = ["It will rain. "] * 100
    text = await text_of(model(Model("main", [*reasoning, *answer])).reply(PROMPT))
    assert 300 <= len(text.partition("</think>")[2]) <= 300 + len(answer[0])
    endless = await text_of(model(Model("main", ["<think>", *(["It may rain. "] * 10_000)])).reply(PROMPT))
    assert len(endless) <= 3_100


@pytest.mark.parametrize(("first_token_s", "asked"), [(3.9, 2), (4.0, 1), (60.0, 1)])
async def test_a_long_wait_for_the_first_token_is_not_repeated(briefing: Model, first_token_s: float, asked: int):
    silent, breaker = Model("main", [None]), CircuitBreaker()
    fallback = FallbackModel(silent, briefing, breaker, first_token_s=first_token_s, max_reply_chars=300)
    began_s = asyncio.get_running_loop().time()
    assert (await text_of(fallback.reply(NO_PHRASE))) == "On file: nothing."
    assert silent.asked == asked
    assert asyncio.get_running_loop().time() - began_s == pytest.approx(first_token_s * asked)
    assert breaker.latest_failure is not None
    assert breaker.latest_failure.code == "llm.silent"


async def test_a_slow_first_token_is_waited_for(briefing: Model):
    class Slow(Model):
        async def reply(self, prompt: Prompt) -> AsyncGenerator[str]:
            await asyncio.sleep(5)
            yield "At last."

    patient = FallbackModel(Slow("main"), briefing, CircuitBreaker(), first_token_s=30, max_reply_chars=300)
    assert await text_of(patient.reply(PROMPT)) == "At last."
    assert patient.name == "main"


async def test_the_reason_for_the_fallback_lasts_until_a_reply_succeeds(briefing: Model):
    refused, breaker = PeerFailed("llm.refused", "HTTP 401: no such key"), CircuitBreaker()
    fallback = FallbackModel(
        Model("main", [refused], [refused], ["Good evening."]), briefing, breaker, first_token_s=1, max_reply_chars=300
    )
    await text_of(fallback.reply(PROMPT))
    assert breaker.latest_failure is refused
    breaker.half_open()
    assert breaker.latest_failure is refused
    await text_of(fallback.reply(PROMPT))
    assert breaker.latest_failure is None
