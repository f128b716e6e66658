"""Turn-taking: end-of-turn waits, speculative replies, prefill, and history after an interruption."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import replace

import pytest
from orchestrator.conversation.messages import client as client_messages
from orchestrator.conversation.messages import server as server_messages
from orchestrator.conversation.messages.server import WaitDecision as By
from orchestrator.llm.context import chat_messages
from orchestrator.llm.scripted import LlmSection, ScriptedModel

STORY = "Once upon a time there was a king who could not sleep at night."


class RecordingLlm:
    """The product's scripted model; records its prompts and the end of each reply."""

    name = "scripted"

    def __init__(self, **section) -> None:
        self._model = ScriptedModel(LlmSection(**section))
        self.prompts: list = []
        self.replies: list = []
        self.closed_ms: list[int] = []

    async def reply(self, prompt):
        self.prompts.append(prompt)
        try:
            async with aclosing(self._model.reply(prompt)) as pieces:
                async for piece in pieces:
                    yield piece
        finally:
            self.closed_ms.append(now_ms())

    async def prefill(self, prompt):
        await self._model.prefill(prompt)


def now_ms() -> int:
    return round(asyncio.get_running_loop().time() * 1000)


def sent_at_ms(stage, kind) -> list[int]:
    """When the client received messages of a kind."""
    return [at_ms for at_ms, message in stage.client.messages if isinstance(message, kind)]


def waited_ms(stage) -> int:
    """The wait from the user's last end of speech to the last commit; the VAD reports the end 64 to 96 ms late."""
    return (
        sent_at_ms(stage, server_messages.TurnCommitted)[-1] - sent_at_ms(stage, server_messages.SpeechStopped)[-1] + 64
    )


def prompt_texts(stage) -> list[str]:
    return [prompt.text for prompt in stage.llm.prompts]


# End-of-turn wait ---------------------------------------------------------------------------------------------------


async def test_incomplete_sentence_is_awaited_and_answered_once(stage):
    stage.anchor_will_say("Where to?")
    stage.vad.probability = 0.0
    async with stage:
        await stage.user("I would like to")
        await stage.silence(2700)
        assert not stage.client.of_type(server_messages.TurnCommitted)
        await stage.user("fly to Denver")
        stage.vad.probability = 1.0
        await stage.until(server_messages.ReplyFinished)
    assert [message.text for message in stage.client.of_type(server_messages.TurnCommitted)] == [
        "I would like to fly to Denver"
    ]
    assert stage.history[0] == ("user", "I would like to fly to Denver")
    assert len(stage.client.of_type(server_messages.ReplyFinished)) == 1


async def test_incomplete_sentence_is_answered_after_three_seconds(stage):
    stage.anchor_will_say("Yes?")
    stage.vad.probability = 0.0
    async with stage:
        await stage.user("I would like to")
        await stage.until(server_messages.ReplyFinished)
    assert waited_ms(stage) == pytest.approx(3000, abs=40)
    (predicted,) = stage.client.of_type(server_messages.TurnEndPredicted)
    assert (predicted.wait_ms, predicted.decided_by) == (3000, By.WAIT_DECISION_CEILING)


async def test_confident_prediction_commits_at_once(stage):
    stage.anchor_will_say("Yes.")
    stage.vad.probability = 1.0
    async with stage:
        await stage.user("is it so")
        await stage.until(server_messages.ReplyFinished)
    assert waited_ms(stage) <= 270
    (predicted,) = stage.client.of_type(server_messages.TurnEndPredicted)
    assert (predicted.wait_ms, predicted.decided_by) == (100, By.WAIT_DECISION_FLOOR)


async def test_later_prediction_of_the_same_silence_counts(stage):
    stage.anchor_will_say("Yes.")
    stage.vad.probability = 0.0
    stage.vad.later_predictions = ((500, 0.95),)
    async with stage:
        await stage.user("is it so")
        await stage.until(server_messages.ReplyFinished)
    assert 500 <= waited_ms(stage) <= 580
    first, second = stage.client.of_type(server_messages.TurnEndPredicted)
    assert (first.wait_ms, second.wait_ms) == (3000, 100)
    assert first.at_ms == second.at_ms
    assert first.silence_ms < 500 <= second.silence_ms


async def test_silence_without_prediction_uses_the_default_wait(stage):
    stage.anchor_will_say("Yes.")
    stage.vad.probability = None
    async with stage:
        await stage.user("is it so")
        await stage.until(server_messages.ReplyFinished)
    assert waited_ms(stage) == pytest.approx(700, abs=40)
    (predicted,) = stage.client.of_type(server_messages.TurnEndPredicted)
    assert (predicted.probability, predicted.predictor, predicted.wait_ms) == (None, "", 700)
    assert predicted.decided_by is By.WAIT_DECISION_NO_JUDGEMENT


async def test_patience_changes_in_mid_session(stage):
    stage.anchor_will_say("Yes.")
    waits = []
    async with stage:
        for number, patience in enumerate((1.0, 2.0, 0.5), start=1):
            stage.command(client_messages.SetPatience(patience))
            assert (await stage.until(server_messages.SessionUpdated, number)).patience == patience
            await stage.user("is it so")
            await stage.until(server_messages.ReplyFinished, number)
            waits.append(waited_ms(stage))
        stage.command(client_messages.SetPatience(3.0))
        refused = await stage.until(server_messages.Error)
    predicted = [
        (message.wait_ms, message.patience) for message in stage.client.of_type(server_messages.TurnEndPredicted)
    ]
    assert predicted == [(462, 1.0), (925, 2.0), (231, 0.5)]
    assert waits == pytest.approx([462, 925, 231], abs=40)
    assert refused.code == "session.bad_patience"


async def test_patience_survives_the_session(stage):
    async with stage:
        stage.command(client_messages.SetPatience(2.0))
        await stage.until(server_messages.SessionUpdated)
    stage._ended = False
    async with stage:
        assert (await stage.until(server_messages.SessionStarted)).patience == 2.0


async def test_wait_grows_after_the_user_was_cut_off(stage):
    stage.anchor_will_say("never heard", "Fine.")
    stage.vad.probability = 1.0
    stage.llm.first_token_ms = 900
    async with stage:
        await stage.user("how is the weather")
        await stage.until(server_messages.TurnCommitted)
        await stage.silence(200)
        await stage.user("in Leipzig")
        await stage.until(server_messages.ReplyFinished)
    first, second = stage.client.of_type(server_messages.TurnEndPredicted)
    assert first.decided_by is By.WAIT_DECISION_FLOOR
    assert second.decided_by is By.WAIT_DECISION_HABIT
    assert 250 <= second.wait_ms <= 450
    assert stage.history == [("user", "how is the weather in Leipzig"), ("anchor", "Fine.")]


# Speculation --------------------------------------------------------------------------------------------------------


async def test_self_correction_is_answered_once_as_a_whole(stage):
    stage.anchor_will_say("To Boston?", "To Denver, then.")
    stage.vad.probability = 0.2
    async with stage:
        await stage.user("a flight to Boston")
        await stage.silence(700)
        await stage.user("no to Denver")
        finished = await stage.until(server_messages.ReplyFinished)
    assert prompt_texts(stage) == ["a flight to Boston", "a flight to Boston no to Denver"]
    assert finished.heard_text == "To Denver, then."
    assert len(stage.client.of_type(server_messages.ReplyStarted)) == 1
    assert stage.history == [("user", "a flight to Boston no to Denver"), ("anchor", "To Denver, then.")]


async def test_cough_in_a_pause_starts_no_second_reply(stage):
    stage.anchor_will_say("Sunny.")
    stage.vad.probability = 0.2
    async with stage:
        await stage.user("how is the weather")
        await stage.silence(600)
        await stage.noise(200)
        await stage.until(server_messages.ReplyFinished)
    assert [message.text for message in stage.client.of_type(server_messages.FinalTranscript)] == [
        "how is the weather"
    ] * 2
    assert prompt_texts(stage) == ["how is the weather"]
    assert stage.llm.closed == 1
    assert stage.history[-1] == ("anchor", "Sunny.")


async def test_long_sound_without_words_discards_the_speculative_reply(stage):
    stage.anchor_will_say("Sunny.")
    stage.vad.probability = 0.2
    async with stage:
        await stage.user("how is the weather")
        await stage.silence(600)
        await stage.noise(600)
        assert stage.llm.closed == 1
        await stage.until(server_messages.ReplyFinished)
    assert prompt_texts(stage) == ["how is the weather"] * 2


async def test_new_words_cancel_the_speculative_reply_in_50_ms(stage):
    stage.llm = RecordingLlm(first_token_delay_ms=0, tokens_per_second=5, replies=(STORY,))
    stage.vad.probability = 0.2
    async with stage:
        await stage.user("how is the weather")
        await stage.silence(600)
        await stage.user("in Leipzig tomorrow")
        new_words_ms = next(
            at_ms
            for at_ms, message in stage.client.messages
            if isinstance(message, server_messages.PartialTranscript) and message.text == "how is the weather in"
        )
    assert 0 <= stage.llm.closed_ms[0] - new_words_ms <= 50


async def test_reopened_turn_cancels_its_reply_in_50_ms(stage):
    stage.llm = RecordingLlm(first_token_delay_ms=2000, replies=(STORY,))
    async with stage:
        await stage.user("how is the weather")
        await stage.until(server_messages.TurnCommitted)
        await stage.user("in Leipzig")
        await stage.until(server_messages.TurnCommitted, 2)
        reopened_ms = sent_at_ms(stage, server_messages.SpeechStarted)[1]
    assert 0 <= stage.llm.closed_ms[0] - reopened_ms <= 50
    assert not stage.client.of_type(server_messages.ReplyAudio)


async def test_fourth_pause_of_a_turn_starts_no_speculation(stage):
    stage.anchor_will_say("Fine.")
    stage.vad.probability = 0.2
    async with stage:
        for word in ("one", "two", "three", "four"):
            await stage.user(word)
            await stage.silence(600)
        assert prompt_texts(stage) == ["one", "one two", "one two three"]
        await stage.until(server_messages.ReplyFinished)
    assert prompt_texts(stage)[3:] == ["one two three four"]


async def test_turn_longer_than_ten_seconds_starts_no_speculation(stage):
    stage.anchor_will_say("Fine.")
    async with stage:
        await stage.user("word " * 55)
        await stage.silence(350)
        assert prompt_texts(stage) == []
        await stage.until(server_messages.ReplyFinished)
    assert prompt_texts(stage) == [("word " * 55).strip()]


async def test_speculation_can_be_disabled(stage):
    stage.anchor_will_say("Fine.")
    stage.rules = replace(stage.rules, max_speculations=0)
    async with stage:
        await stage.user("how is the weather")
        await stage.silence(350)
        assert prompt_texts(stage) == []
        await stage.until(server_messages.ReplyFinished)
    assert prompt_texts(stage) == ["how is the weather"]


async def test_late_transcript_of_an_ended_pause_is_not_answered(stage):
    stage.anchor_will_say("Fine.")
    stage.stt.delay_ms = 500
    stage.vad.probability = 0.2
    async with stage:
        await stage.user("how is the weather")
        await stage.silence(250)
        await stage.user("in Leipzig")
        await stage.until(server_messages.ReplyFinished)
    assert prompt_texts(stage) == ["how is the weather in Leipzig"]


# Prefill ------------------------------------------------------------------------------------------------------------


async def test_history_is_prefilled_while_the_user_speaks(stage):
    stage.anchor_will_say("Sunny.")
    async with stage:
        await stage.user("how is the weather")
        await stage.until(server_messages.ReplyFinished)
        await stage.user("and tomorrow")
        await stage.until(server_messages.ReplyFinished, 2)
    assert len(stage.llm.prefilled) == 2
    for ahead, real in zip(stage.llm.prefilled, stage.llm.prompts, strict=True):
        assert chat_messages(real, 8192)[:-1] == chat_messages(ahead, 8192)[:-1]
    assert [message.text for message in stage.llm.prefilled[1].history] == ["how is the weather", "Sunny."]


async def test_partial_transcripts_are_prefilled_for_retrieval(stage):
    stage.anchor_will_say("Sunny.")
    async with stage:
        await stage.user("how is the weather")
        await stage.until(server_messages.ReplyFinished)
    assert stage.llm.partials
    for prompt in stage.llm.partials:
        assert prompt.text == ""
        assert "how is the weather".startswith(prompt.partial)


async def test_prefill_is_cancelled_before_the_reply_is_requested(stage):
    stage.anchor_will_say("Sunny.")
    order = []

    class SlowPrefillLlm(RecordingLlm):
        async def prefill(self, prompt):
            try:
                await asyncio.sleep(60)
            finally:
                order.append("cancelled")

        async def reply(self, prompt):
            order.append("requested")
            async with aclosing(super().reply(prompt)) as pieces:
                async for piece in pieces:
                    yield piece

    stage.llm = SlowPrefillLlm(replies=("Sunny.",))
    async with stage:
        await stage.user("how is the weather")
        await stage.until(server_messages.ReplyFinished)
    assert order == ["cancelled", "requested"]


async def test_typed_turns_and_playing_replies_are_not_prefilled(stage):
    stage.anchor_will_say(STORY)
    async with stage:
        stage.command(client_messages.TextInput("a story please"))
        await stage.until_played(600)
        await stage.user("stop it now")
        await stage.until(server_messages.ReplyFinished)
    assert stage.llm.prefilled == []


# History after an interruption --------------------------------------------------------------------------------------


async def test_llm_gets_the_interruption_note_once(stage):
    stage.anchor_will_say(STORY, "All right.", "You are welcome.")
    async with stage:
        await stage.user("tell me a story")
        await stage.until_played(900)
        await stage.user("stop it")
        stopped = await stage.until(server_messages.ReplyFinished)
        await stage.until(server_messages.ReplyFinished, 2)
        await stage.user("thank you")
        await stage.until(server_messages.ReplyFinished, 3)
    second, third = (chat_messages(prompt, 8192) for prompt in stage.llm.prompts[-2:])
    assert stopped.heard_text in STORY
    assert second[-1]["content"].startswith("(You were interrupted")
    assert f'"{stopped.heard_text}"' in second[-1]["content"]
    assert second[-1]["content"].endswith("stop it")
    assert third[2] == {"role": "assistant", "content": stopped.heard_text}
    assert "interrupted" not in str(third)


async def test_partly_played_word_does_not_enter_history(stage):
    stage.anchor_will_say(STORY)
    async with stage:
        await stage.user("tell me a story")
        await stage.until_played(700)
        stage.command(client_messages.Interrupt())
        finished = await stage.until(server_messages.ReplyFinished)
    # One word per 200 ms: the last reported position lies within the fourth word.
    assert finished.heard_text == " ".join(STORY.split()[: finished.heard_ms // 200])
    assert not finished.estimated


# Silence ------------------------------------------------------------------------------------------------------------


async def test_a_minute_of_silence_leaves_no_timers_or_tasks(stage):
    stage.anchor_will_say("Sunny.")
    loop = asyncio.get_running_loop()
    async with stage:
        await stage.silence(1000)
        before = (len(asyncio.all_tasks()), len(loop._scheduled))
        await stage.user("how is the weather")
        await stage.until(server_messages.ReplyFinished)
        messages = len(stage.client.messages)
        await stage.silence(60_000)
        assert len(stage.client.messages) - messages <= 1, "the waterfall follows the reply; nothing else may"
        assert len(asyncio.all_tasks()) == before[0]
        assert len(loop._scheduled) <= before[1] + 1
