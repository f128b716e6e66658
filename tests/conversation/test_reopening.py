"""Reopening: the user continues a committed turn before the client played any of its reply."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from orchestrator.conversation.messages import client as client_messages
from orchestrator.conversation.messages import server as server_messages
from orchestrator.conversation.messages.server import BargeInVerdict as Verdict
from orchestrator.conversation.model.events import ReplyDone

FORECAST = "The weather will be fine on all the days that follow."
ANSWER = "It will rain in Berlin."


def prepare_replies(stage, *replies: str) -> None:
    """A reply is synthesised before the turn commits, so its first frame is sent at the commit."""
    stage.anchor_will_say(*replies or (FORECAST, ANSWER))
    stage.llm.first_token_ms = stage.llm.token_ms = 0
    stage.vad.probability = 0.6


@asynccontextmanager
async def replying(stage, *replies: str, output_delay_ms: int = 0) -> AsyncGenerator[None]:
    """A session in which the user asked for the weather, and the first frame of the reply is sent."""
    prepare_replies(stage, *replies)
    stage.output_delay_ms = output_delay_ms
    async with stage:
        await stage.ask("how is the weather")
        yield


def verdicts(stage) -> list[Verdict]:
    return [message.verdict for message in stage.client.of_type(server_messages.BargeInSettled)]


def committed(stage) -> list[tuple[int, str]]:
    return [(message.turn_id, message.text) for message in stage.client.of_type(server_messages.TurnCommitted)]


def assert_reopened_once(stage) -> None:
    """One turn with all words, answered once; the client heard nothing of the reply to its first half."""
    assert verdicts(stage) == [Verdict.BARGE_IN_VERDICT_CONTINUATION]
    assert committed(stage) == [(1, "how is the weather"), (1, "how is the weather in Berlin")]
    assert [final.revision for final in finals(stage, 1)] == list(range(1, len(finals(stage, 1)) + 1))
    assert finals(stage, 1)[-1].text == "how is the weather in Berlin"
    (finished,) = stage.client.of_type(server_messages.ReplyFinished)
    assert (finished.turn_id, finished.heard_text, finished.interrupted) == (1, ANSWER, False)
    assert stage.history == [("user", "how is the weather in Berlin"), ("anchor", ANSWER)]
    assert [prompt.text for prompt in stage.llm.prompts][-1] == "how is the weather in Berlin"
    assert stage.llm.prompts[-1].history == ()
    assert stage.tts.open_streams == 0


def finals(stage, turn_id: int) -> list[server_messages.FinalTranscript]:
    return [final for final in stage.client.of_type(server_messages.FinalTranscript) if final.turn_id == turn_id]


@pytest.mark.parametrize("pause_ms", [0, 40, 120, 200])
async def test_speech_before_the_first_sample_is_heard_reopens_the_turn(stage, pause_ms):
    async with replying(stage, output_delay_ms=400):
        await stage.silence(pause_ms)
        await stage.user("in Berlin")
        await stage.until(server_messages.ReplyFinished)
    assert_reopened_once(stage)
    assert stage.client.stopped_after_ms == [0]
    # The reply that was heard arrived completely, after the withdrawn one.
    assert stage.client.played[1] == len(ANSWER.split()) * 200


async def test_speech_that_began_before_the_commit_reopens_the_turn(stage):
    prepare_replies(stage)
    stage.output_delay_ms = 100
    async with stage:
        await stage.user("how is the weather")
        # Speech is detected 64 ms after its onset: the wait ends in between.
        await stage.silence(250)
        onset_ms = stage.now_ms
        await stage.user("in Berlin")
        await stage.until(server_messages.ReplyFinished)
    sent_ms = next(at_ms for at_ms, message in stage.client.messages if isinstance(message, server_messages.ReplyAudio))
    assert onset_ms < sent_ms < onset_ms + 64
    assert_reopened_once(stage)


async def test_detection_after_the_first_sample_is_heard_reopens_the_turn(stage):
    async with replying(stage, output_delay_ms=120):
        # Speech begins while nothing plays; playback begins before it is detected.
        await stage.silence(90)
        await stage.user("in Berlin")
        await stage.until(server_messages.ReplyFinished)
    assert_reopened_once(stage)
    assert 0 < stage.client.stopped_after_ms[0] <= 200


async def test_speech_after_the_first_sample_is_heard_interrupts(stage):
    prepare_replies(stage)
    stage.output_delay_ms = 120
    async with stage:
        await stage.user("how is the weather")
        await stage.until_played(300)
        await stage.user("in Berlin")
        await stage.until(server_messages.ReplyFinished, 2)
    assert verdicts(stage) == [Verdict.BARGE_IN_VERDICT_STOP_WORDS]
    assert [turn_id for turn_id, _ in committed(stage)] == [1, 2]


@pytest.mark.parametrize("report_delay_ms", [0, 150])
async def test_late_report_turns_the_continuation_into_a_barge_in(stage, report_delay_ms):
    prepare_replies(stage)
    stage.report_delay_ms = report_delay_ms
    async with stage:
        await stage.user("how is the weather")
        await stage.until_played(200)
        await stage.user("stop that please")
        await stage.until(server_messages.ReplyFinished, 2)
    assert verdicts(stage) == [Verdict.BARGE_IN_VERDICT_STOP_WORDS]
    assert [turn_id for turn_id, _ in committed(stage)] == [1, 2]


@pytest.mark.parametrize("reports", [True, False])
async def test_cough_before_the_first_sample_is_heard_costs_nothing(stage, reports):
    stage.reports_playback = reports
    async with replying(stage, output_delay_ms=400):
        await stage.noise(150)
        finished = await stage.until(server_messages.ReplyFinished)
    assert verdicts(stage) == [Verdict.BARGE_IN_VERDICT_COUGH]
    assert (finished.turn_id, finished.heard_text) == (1, FORECAST)
    assert len(stage.llm.prompts) == 1
    assert not stage.client.of_type(server_messages.PlaybackStop)
    assert committed(stage) == [(1, "how is the weather")]


async def test_ten_coughs_before_the_first_sample_is_heard_end_in_one_answer(stage):
    async with replying(stage, output_delay_ms=400):
        for _ in range(10):
            await stage.noise(120)
            await stage.silence(180)
        finished = await stage.until(server_messages.ReplyFinished)
    assert set(verdicts(stage)) == {Verdict.BARGE_IN_VERDICT_COUGH}
    assert finished.heard_text == FORECAST
    assert len(stage.llm.prompts) == 1


async def test_noise_reopens_a_turn_twice_at_most(stage):
    prepare_replies(stage)
    stage.anchor_will_say(FORECAST)
    stage.output_delay_ms = 800
    async with stage:
        await stage.user("how is the weather")
        stage.stt.recognises_nothing = True
        for number in range(1, 4):
            await stage.until(server_messages.ReplyAudio, number)
            await stage.noise(650)
        await stage.silence(4_000)
    assert verdicts(stage) == [
        *(Verdict.BARGE_IN_VERDICT_CONTINUATION, Verdict.BARGE_IN_VERDICT_CONTINUATION),
        Verdict.BARGE_IN_VERDICT_STOP_DURATION,
    ]
    assert stage.history[0] == ("user", "how is the weather")


async def test_echo_of_the_first_words_does_not_reopen_the_turn(stage):
    # The client plays at once, and its reports are late: by them, nothing was heard when the echo begins.
    stage.report_delay_ms = 1_500
    async with replying(stage):
        await stage.user("the weather will be")
        finished = await stage.until(server_messages.ReplyFinished)
        await stage.silence(2_000)
    assert verdicts(stage) == [Verdict.BARGE_IN_VERDICT_ECHO]
    assert (finished.turn_id, finished.heard_text) == (1, FORECAST)
    assert len(stage.llm.prompts) == 1


@pytest.mark.parametrize(("after_ms", "reopens"), [(40, True), (160, True), (300, False), (600, False)])
async def test_without_reports_the_first_quarter_of_a_second_reopens_the_turn(stage, after_ms, reopens):
    stage.reports_playback = False
    async with replying(stage):
        await stage.silence(after_ms)
        await stage.user("in Berlin")
        finished = await stage.until(server_messages.ReplyFinished)
        if not reopens:
            await stage.until(server_messages.ReplyFinished, 2)
    if reopens:
        assert_reopened_once(stage)
    else:
        assert verdicts(stage) == [Verdict.BARGE_IN_VERDICT_STOP_WORDS]
        assert finished.interrupted
    assert finished.estimated


async def test_paused_reply_of_which_nothing_was_heard_is_withdrawn(stage):
    async with replying(stage, output_delay_ms=200):
        stage.command(client_messages.Pause())
        await stage.until(server_messages.PlaybackPause)
        await stage.silence(5_000)
        await stage.user("in Berlin")
        await stage.until(server_messages.ReplyFinished)
    assert_reopened_once(stage)
    # The pause ended with the reply that it was meant for.
    assert not stage.client.of_type(server_messages.Error)


@pytest.mark.parametrize("reloaded", [False, True])
async def test_turn_is_reopened_after_a_reconnect(stage, reloaded):
    async with replying(stage, output_delay_ms=2_000):
        await stage.disconnect()
        await stage.silence(1_000)
        stage.reconnect(reloaded=reloaded)
        await stage.silence(100)
        await stage.user("in Berlin")
        await stage.until(server_messages.ReplyFinished)
    assert verdicts(stage) == [Verdict.BARGE_IN_VERDICT_CONTINUATION]
    assert committed(stage)[-1] == (1, "how is the weather in Berlin")
    assert stage.history == [("user", "how is the weather in Berlin"), ("anchor", ANSWER)]


async def test_connection_lost_after_the_reopening_replays_the_withdrawal(stage):
    async with replying(stage, output_delay_ms=400):
        stage.client.lose_messages()
        await stage.user("in Berlin")
        await stage.disconnect()
        await stage.silence(200)
        stage.reconnect()
        await stage.until(server_messages.ReplyFinished)
    assert committed(stage)[-1] == (1, "how is the weather in Berlin")
    assert stage.history == [("user", "how is the weather in Berlin"), ("anchor", ANSWER)]
    assert stage.client.played[1] == len(ANSWER.split()) * 200


async def test_second_press_of_push_to_talk_reopens_the_turn(stage):
    prepare_replies(stage)
    stage.manual = True
    stage.output_delay_ms = 1_000
    async with stage:
        await stage.user("how is the weather")
        await stage.mute()
        stage.command(client_messages.EndTurn())
        await stage.until(server_messages.ReplyAudio)
        await stage.unmute()
        await stage.user("in Berlin")
        await stage.mute()
        stage.command(client_messages.EndTurn())
        await stage.until(server_messages.ReplyFinished)
    assert_reopened_once(stage)


async def test_turn_can_be_reopened_twice(stage):
    async with replying(stage, FORECAST, FORECAST, ANSWER, output_delay_ms=400):
        await stage.user("in Berlin")
        await stage.until(server_messages.ReplyAudio, 2)
        await stage.user("tomorrow")
        await stage.until(server_messages.ReplyFinished)
    assert verdicts(stage) == [Verdict.BARGE_IN_VERDICT_CONTINUATION] * 2
    assert committed(stage)[-1] == (1, "how is the weather in Berlin tomorrow")
    assert stage.history == [("user", "how is the weather in Berlin tomorrow"), ("anchor", ANSWER)]


async def test_report_of_the_withdrawn_reply_is_ignored(stage):
    async with replying(stage, output_delay_ms=400):
        await stage.user("in Berlin")
        await stage.until(server_messages.PlaybackStop)
        stage.command(client_messages.PlaybackProgress(1, 100))
        await stage.until(server_messages.ReplyAudio, 2)
        await stage.user("tomorrow")
        await stage.until(server_messages.ReplyFinished)
    assert verdicts(stage) == [Verdict.BARGE_IN_VERDICT_CONTINUATION] * 2


async def test_waterfall_counts_from_the_end_of_the_continuation(stage):
    async with replying(stage, output_delay_ms=400):
        await stage.user("in Berlin")
        waterfall = await stage.until(server_messages.LatencyWaterfall)
        speech_end_ms = stage.client.of_type(server_messages.SpeechStopped)[-1].at_ms
    assert (waterfall.turn_id, waterfall.speech_end_ms) == (1, speech_end_ms)
    stages = [waterfall.speech_stopped_ms, waterfall.turn_committed_ms, waterfall.first_frame_sent_ms]
    assert stages == sorted(stages)
    assert stages[0] > 0
    assert waterfall.first_sample_heard_ms == pytest.approx(waterfall.first_frame_sent_ms + 400, abs=60)


# Clients that declare reports and send none ---------------------------------------------------------------------------


async def test_client_that_sends_no_reports_is_notified_and_hears_the_reply(stage):
    long = " ".join([FORECAST] * 3)
    stage.anchor_will_say(long)
    stage.withholds_reports = True
    async with stage:
        await stage.user("how is the weather")
        sent_ms = stage.now_ms
        error = await stage.until(server_messages.Error)
        assert 3_000 <= stage.now_ms - sent_ms <= 4_500
        finished = await stage.until(server_messages.ReplyFinished)
        assert stage.client.played[1] == len(long.split()) * 200
        # The next reply is paced by the reports again.
        stage.withholds_reports = False
        await stage.user("and again")
        again = await stage.until(server_messages.ReplyFinished, 2)
    assert error.code == "session.no_playback_reports"
    assert (finished.heard_text, finished.estimated) == (long, True)
    assert len(stage.client.of_type(server_messages.Error)) == 1
    assert again.estimated


async def test_reports_after_the_fallback_count_from_the_next_reply_on(stage):
    stage.anchor_will_say(" ".join([FORECAST] * 3))
    stage.withholds_reports = True
    async with stage:
        await stage.user("how is the weather")
        await stage.until(server_messages.Error)
        stage.withholds_reports = False
        assert (await stage.until(server_messages.ReplyFinished)).estimated
        await stage.user("and again")
        finished = await stage.until(server_messages.ReplyFinished, 2)
    assert not finished.estimated
    assert len(stage.client.of_type(server_messages.Error)) == 1


async def test_paused_reply_needs_no_reports(stage):
    async with replying(stage, output_delay_ms=200):
        stage.command(client_messages.Pause())
        await stage.until(server_messages.PlaybackPause)
        await stage.silence(10_000)
        stage.command(client_messages.Resume())
        finished = await stage.until(server_messages.ReplyFinished)
    assert not stage.client.of_type(server_messages.Error)
    assert (finished.heard_text, finished.estimated) == (FORECAST, False)


async def test_interrupt_before_anything_was_heard_is_no_estimate(stage):
    async with replying(stage, output_delay_ms=400):
        stage.command(client_messages.Interrupt())
        finished = await stage.until(server_messages.ReplyFinished)
    assert (finished.heard_ms, finished.heard_text, finished.interrupted) == (0, "", True)
    assert not finished.estimated


async def test_late_end_of_the_withdrawn_reply_leaves_the_next_one(stage):
    async with replying(stage, output_delay_ms=400):
        await stage.user("in Berlin")
        await stage.until(server_messages.TurnCommitted, 2)
        stage.session._event_queue.put_nowait(ReplyDone(1))
        await stage.until(server_messages.ReplyFinished)
    assert_reopened_once(stage)
