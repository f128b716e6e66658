"""One text is spoken, captioned and remembered: the normalised one, whatever the model writes."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import replace

import pytest
from orchestrator.conversation.messages import server as server_messages
from orchestrator.llm.circuit_breaker import CircuitBreaker
from orchestrator.llm.fallback import FallbackModel
from service_kit.errors import PeerFailed
from stage import PERSONA

ANSWER = "It will rain on Sunday."


def captions(stage) -> str:
    """The captions of the replies, as a client shows them."""
    text = ""
    for _, message in stage.client.messages:
        match message:
            case server_messages.ReplyStarted():
                text = ""
            case server_messages.ReplyText():
                text += message.text
            case _:
                pass
    return text


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (f"<think> The user asks for rain. </think> {ANSWER}", ANSWER),
        (f"<|channel|>analysis<|message|> Rain it is. <|end|><|channel|>final<|message|>{ANSWER}", ANSWER),
        (
            "**Rain** on [Sunday](https://example.org/weather?day=sunday), 2*3 mm for $5.50 🎉.",
            "Rain on Sunday, 2 times 3 mm for 5 dollars 50.",
        ),
        ("Use the tag <think> for that.", "Use the tag <think> for that."),
        ("Try: ```python\nprint(1)\n``` Done.", "Try:\nHere is some code.\nDone."),
    ],
)
async def test_spoken_captioned_and_remembered_text_are_the_same(stage, written, said):
    stage.persona = replace(PERSONA, phrases={"en": {**PERSONA.phrases["en"], "code": "Here is some code."}})
    spoken: list[str] = []
    stage.anchor_will_say(written)
    record_spoken_text(stage, spoken)
    async with stage:
        await stage.user("how is the weather")
        finished = await stage.until(server_messages.ReplyFinished)
    assert captions(stage) == said
    assert finished.heard_text == said
    assert "".join(spoken) == said
    assert stage.history[-1] == ("anchor", said)


def record_spoken_text(stage, spoken: list[str]) -> None:
    """Record the text that the TTS gets."""
    opened = stage.tts.open

    def open_recorded(*args):
        context = opened(*args)
        entering = context.__aenter__

        async def enter():
            stream = await entering()
            send_text = stream.send_text

            async def send_recorded(text):
                spoken.append(text)
                await send_text(text)

            stream.send_text = send_recorded
            return stream

        context.__aenter__ = enter
        return Entered(context, enter)

    stage.tts.open = open_recorded


class Entered:
    """An asynchronous context with another way in."""

    def __init__(self, context, enter) -> None:
        self._context, self._enter = context, enter

    async def __aenter__(self):
        return await self._enter()

    async def __aexit__(self, *details):
        return await self._context.__aexit__(*details)


async def test_marks_point_into_the_captions(stage):
    stage.anchor_will_say("Rain on [Sunday](https://example.org/a/b) costs **$5.50** and more.")
    async with stage:
        await stage.user("how is the weather")
        await stage.until(server_messages.ReplyFinished)
    text = captions(stage)
    marks = stage.client.of_type(server_messages.SpeechMark)
    assert [text[mark.text_start : mark.text_end] for mark in marks] == text.split()


async def test_an_interruption_keeps_the_heard_part_of_the_captions(stage):
    stage.anchor_will_say("Six is **2*3**, and [the rest](https://example.org/rest) of it is a very long story indeed.")
    async with stage:
        await stage.user("go on")
        await stage.until_played(1000)
        await stage.user("stop it now")
        finished = await stage.until(server_messages.ReplyFinished)
    assert finished.interrupted
    assert finished.heard_text.startswith("Six is 2 times 3")
    assert captions(stage).startswith(finished.heard_text)


@pytest.mark.parametrize("token_ms", [1, 200])
async def test_reasoning_without_an_opening_tag_is_taken_back(stage, token_ms):
    stage.llm.token_ms = token_ms
    stage.anchor_will_say(f"The user asks for rain. So I look. And I see.</think> {ANSWER}", f"Yes.</think> {ANSWER}")
    async with stage:
        await stage.user("how is the weather")
        finished = await stage.until(server_messages.ReplyFinished)
        assert finished.heard_text == ANSWER
        assert captions(stage) == ANSWER
        assert stage.history == [("user", "how is the weather"), ("anchor", ANSWER)]
        started = len(stage.client.of_type(server_messages.ReplyStarted))
        # From now on, the model's replies are known to begin with reasoning.
        await stage.user("and on monday")
        finished = await stage.until(server_messages.ReplyFinished, 2)
    assert finished.heard_text == ANSWER
    assert len(stage.client.of_type(server_messages.ReplyStarted)) == started + 1
    assert all("rain. So" not in message.text for prompt in stage.llm.prompts for message in prompt.history)


async def test_a_model_that_stops_reasoning_is_heard_all_the_same(stage):
    stage.anchor_will_say(f"Hm.</think>{ANSWER}", "It stays dry on Monday.")
    async with stage:
        await stage.user("how is the weather")
        await stage.until(server_messages.ReplyFinished)
        await stage.user("and on monday")
        finished = await stage.until(server_messages.ReplyFinished, 2)
        assert finished.heard_text == "It stays dry on Monday."
        # The next reply is not waited for: its first words sound while the model still writes.
        stage.llm.replies, stage.llm.token_ms = ["It rains. " * 20 + "That is all."], 200
        started = await stage.ask("and on tuesday")
        assert started.offset_ms == 0
        assert "That is all" not in captions(stage)


async def test_reasoning_without_an_answer_is_an_apology(stage):
    stage.anchor_will_say("<think> It goes on and on")
    async with stage:
        await stage.user("how is the weather")
        finished = await stage.until(server_messages.ReplyFinished)
        (failed,) = stage.client.of_type(server_messages.TurnFailed)
    assert failed.code == "llm.empty"
    assert finished.heard_text == "Sorry, something broke."


async def test_a_reply_of_pictographs_is_silent_and_over(stage):
    stage.anchor_will_say("🎉", ANSWER)
    async with stage:
        await stage.user("cheer up")
        finished = await stage.until(server_messages.ReplyFinished)
        assert finished.heard_text == ""
        assert not stage.client.of_type(server_messages.TurnFailed)
        await stage.user("how is the weather")
        assert (await stage.until(server_messages.ReplyFinished, 2)).heard_text == ANSWER


WITH_FILLER = replace(
    PERSONA, phrases={"en": {**PERSONA.phrases["en"], "one_moment": "One moment.", "fallback": "From my notes."}}
)


@pytest.mark.parametrize("written", [ANSWER, f"<think> {'so ' * 20}</think>{ANSWER}"])
async def test_a_slow_first_word_is_bridged_and_then_heard(stage, written):
    stage.persona = WITH_FILLER
    stage.llm.first_token_ms, stage.llm.token_ms = (5_000, 10) if written == ANSWER else (100, 200)
    stage.anchor_will_say(written)
    async with stage:
        await stage.user("how is the weather")
        finished = await stage.until(server_messages.ReplyFinished)
    assert finished.heard_text == f"One moment. {ANSWER}"
    assert captions(stage) == finished.heard_text


async def test_a_quick_reply_needs_no_filler(stage):
    stage.persona = WITH_FILLER
    stage.anchor_will_say(ANSWER)
    async with stage:
        await stage.user("how is the weather")
        assert (await stage.until(server_messages.ReplyFinished)).heard_text == ANSWER


class Briefing:
    """A responder that answers at once."""

    name = "briefing"

    async def reply(self, prompt):
        yield "Rain, says my note."

    async def prefill(self, prompt):
        pass


@pytest.mark.parametrize("failure_ms", [0, 900])
async def test_a_fallback_reply_bears_the_name_of_the_fallback(stage, failure_ms):
    stage.persona = WITH_FILLER
    stage.llm.replies, stage.llm.first_token_ms = ["never"], failure_ms
    stage.llm.failure = PeerFailed("llm.refused", "HTTP 401: no such key")
    stage.main_llm = FallbackModel(stage.llm, Briefing(), CircuitBreaker(), first_token_s=1.5, max_reply_chars=300)
    async with stage:
        await stage.user("how is the weather")
        finished = await stage.until(server_messages.ReplyFinished)
    engines = [started.engine for started in stage.client.of_type(server_messages.ReplyStarted)]
    assert engines[-1] == "briefing"
    assert finished.heard_text.endswith("From my notes. Rain, says my note.")
    assert captions(stage).endswith("Rain, says my note.")


async def test_a_reply_that_is_cancelled_closes_the_model(stage):
    stage.anchor_will_say("Once upon a time there was a king who could not sleep at night at all.")
    stage.llm.token_ms = 300
    async with stage:
        await stage.user("tell me a story")
        await stage.until_played(300)
        await stage.user("stop it now")
        await stage.until(server_messages.ReplyFinished)
        assert stage.llm.closed
    async with aclosing(stage.llm.reply(None)) as pieces:
        assert await anext(pieces)
