"""Barge-in: speech that stops a reply, false alarms that do not, and resuming without loss."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest
from orchestrator.conversation.messages import client as client_messages
from orchestrator.conversation.messages import server as server_messages
from orchestrator.conversation.messages.server import BargeInVerdict as Verdict
from orchestrator.conversation.turns.barge_in import BargeInThresholds
from prometheus_client import REGISTRY
from service_kit.errors import PeerFailed

STORY = "Once upon a time there was a king who could not sleep at night."
STORY_MS = 14 * 200
ANSWER = "All right."


def verdicts(stage) -> list[Verdict]:
    return [message.verdict for message in stage.client.of_type(server_messages.BargeInSettled)]


def sent_ms(stage, turn_id: int = 1) -> int:
    return next(
        message.duration_ms
        for message in stage.client.of_type(server_messages.ReplyAudioEnded)
        if message.turn_id == turn_id
    )


def at_ms(stage, kind) -> list[int]:
    return [when_ms for when_ms, message in stage.client.messages if isinstance(message, kind)]


async def begin_story(stage, played_ms: int = 900) -> None:
    stage.anchor_will_say(STORY, ANSWER)
    await stage.user("tell me a story")
    await stage.until_played(played_ms)


def assert_undisturbed(stage, finished, *expected: Verdict) -> None:
    """The reply was heard completely and once, and no user turn was added."""
    assert verdicts(stage) == list(expected)
    assert not finished.interrupted
    assert finished.heard_text == STORY
    assert finished.heard_ms == sent_ms(stage) == STORY_MS
    assert len(stage.client.of_type(server_messages.ReplyAudio)) == 1
    assert not stage.client.of_type(server_messages.PlaybackStop)
    assert stage.history == [("user", "tell me a story"), ("anchor", STORY)]
    assert len(stage.llm.prompts) == 1


# Barge-in -----------------------------------------------------------------------------------------------------------


async def test_words_pause_then_stop_the_reply_and_heard_words_enter_history(stage):
    async with stage:
        await begin_story(stage)
        onset_ms = stage.now_ms
        await stage.user("stop it")
        stopped = await stage.until(server_messages.ReplyFinished)
        paused_ms, stopped_ms = (
            at_ms(stage, server_messages.PlaybackPause)[0],
            at_ms(stage, server_messages.PlaybackStop)[0],
        )
        await stage.until(server_messages.ReplyFinished, 2)
    assert paused_ms - onset_ms <= 150
    assert stopped_ms - paused_ms <= 250
    assert stopped.interrupted
    assert stopped.heard_text in STORY
    assert stopped.heard_text.split()[:3] == ["Once", "upon", "a"]
    assert len(stopped.heard_text.split()) <= 6
    assert stage.history == [
        ("user", "tell me a story"),
        ("anchor", stopped.heard_text),
        ("user", "stop it"),
        ("anchor", ANSWER),
    ]
    assert stage.tts.open_streams == 0


async def test_half_a_second_of_speech_stops_the_reply_without_words(stage):
    async with stage:
        await begin_story(stage, 600)
        stage.stt.recognises_nothing = True
        await stage.noise(800)
        finished = await stage.until(server_messages.ReplyFinished)
        assert finished.interrupted
        # The speech was intended and not understood: the anchor says so.
        finished = await stage.until(server_messages.ReplyFinished, 2)
    assert finished.heard_text == "Sorry, I did not catch that."


async def test_user_chooses_how_much_speech_stops_a_reply(stage):
    async with stage:
        stage.command(client_messages.SetBargeIn(stop_ms=1_500))
        updated = await stage.until(server_messages.SessionUpdated)
        await begin_story(stage, 600)
        stage.stt.recognises_nothing = True
        await stage.noise(800)
        finished = await stage.until(server_messages.ReplyFinished)
    assert updated.barge_in == server_messages.BargeIn(1_500, None)
    assert_undisturbed(stage, finished, Verdict.BARGE_IN_VERDICT_COUGH)


async def test_barge_in_out_of_range_is_refused_and_changes_nothing(stage):
    async with stage:
        stage.command(client_messages.SetBargeIn(stop_ms=400, min_words=2))
        await stage.until(server_messages.SessionUpdated)
        for number, hostile in enumerate(((0, None), (2**32 - 1, None), (None, 0), (None, 11)), start=1):
            stage.command(client_messages.SetBargeIn(*hostile))
            assert (await stage.until(server_messages.Error, number)).code == "session.bad_barge_in"
        assert len(stage.client.of_type(server_messages.SessionUpdated)) == 1
    assert stage.conversation.preferences.barge_in == server_messages.BargeIn(400, 2)
    stage._ended = False
    async with stage:
        started = await stage.until(server_messages.SessionStarted)
    assert started.barge_in == server_messages.BargeIn(400, 2)


# False alarms -------------------------------------------------------------------------------------------------------


async def test_cough_pauses_reply_and_playback_resumes_at_the_same_position(stage):
    async with stage:
        await begin_story(stage)
        await stage.noise(180)
        await stage.until(server_messages.PlaybackPause)
        held_ms = stage.client.played[1]
        await stage.until(server_messages.PlaybackResume)
        assert stage.client.played[1] == held_ms
        finished = await stage.until(server_messages.ReplyFinished)
    assert_undisturbed(stage, finished, Verdict.BARGE_IN_VERDICT_COUGH)
    assert stage.client.played[1] == STORY_MS


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "uh-huh"),
        ("es", "sí claro"),
        ("fr", "d'accord"),
        ("de", "ja genau"),
        ("it", "ho capito"),
        ("pt", "pois é"),
        ("nl", "ja precies"),
        ("hi", "अच्छा ठीक"),
    ],
)
async def test_backchannel_does_not_interrupt(stage, language, text):
    stage.conversation.preferences.language = language
    async with stage:
        await begin_story(stage)
        await stage.user(text)
        finished = await stage.until(server_messages.ReplyFinished)
        await stage.silence(2_000)
    assert_undisturbed(stage, finished, Verdict.BARGE_IN_VERDICT_BACKCHANNEL)
    # Clients may still show the backchannel.
    settled = stage.client.of_type(server_messages.BargeInSettled)[0]
    assert [
        final.text
        for final in stage.client.of_type(server_messages.FinalTranscript)
        if final.turn_id == settled.turn_id
    ] == [text]


async def test_backchannel_followed_by_words_interrupts(stage):
    async with stage:
        await begin_story(stage)
        await stage.user("yeah but why")
        await stage.until(server_messages.ReplyFinished, 2)
    assert verdicts(stage) == [Verdict.BARGE_IN_VERDICT_STOP_WORDS]
    assert stage.history[2:] == [("user", "yeah but why"), ("anchor", ANSWER)]


async def test_assent_after_a_question_is_an_answer(stage):
    question = "That is all for now, shall I go on?"
    async with stage:
        stage.anchor_will_say(question, ANSWER)
        await stage.user("what is new")
        await stage.until_played(1_400)
        await stage.user("yes please")
        await stage.until(server_messages.ReplyFinished, 2)
    assert stage.history[2:] == [("user", "yes please"), ("anchor", ANSWER)]


async def test_transcript_echo_does_not_interrupt(stage):
    async with stage:
        await begin_story(stage)
        await stage.user("a tine there")
        finished = await stage.until(server_messages.ReplyFinished)
        await stage.silence(2_000)
    assert_undisturbed(stage, finished, Verdict.BARGE_IN_VERDICT_ECHO)


async def test_user_who_quotes_the_anchor_interrupts(stage):
    async with stage:
        await begin_story(stage, 1_900)
        await stage.user("did you say a king")
        await stage.until(server_messages.ReplyFinished, 2)
    assert verdicts(stage) == [Verdict.BARGE_IN_VERDICT_STOP_WORDS]
    assert stage.history[2:] == [("user", "did you say a king"), ("anchor", ANSWER)]


@pytest.mark.parametrize(("pause_ms", "answered"), [(200, False), (2_500, True)])
async def test_last_words_of_a_reply_count_as_echo_for_a_short_time(stage, pause_ms, answered):
    async with stage:
        await begin_story(stage)
        await stage.until(server_messages.ReplyFinished)
        await stage.silence(pause_ms)
        await stage.user("sleep at night")
        await stage.silence(4_000)
    assert (len(stage.llm.prompts) == 2) is answered
    assert (verdicts(stage) == [Verdict.BARGE_IN_VERDICT_ECHO]) is not answered


# When the reply begins and ends -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("llm_ms", "tts_ms"), [(100, 900), (900, 50)])
async def test_speech_before_the_first_frame_reopens_the_turn(stage, llm_ms, tts_ms):
    stage.anchor_will_say("never heard", "Fine.")
    stage.llm.first_token_ms, stage.tts.delay_ms = llm_ms, tts_ms
    async with stage:
        await stage.user("one")
        await stage.until(server_messages.TurnCommitted)
        await stage.user("two")
        await stage.until(server_messages.ReplyFinished)
    assert stage.history == [("user", "one two"), ("anchor", "Fine.")]
    assert {message.turn_id for message in stage.client.of_type(server_messages.TurnCommitted)} == {1}
    assert not stage.client.of_type(server_messages.BargeInSettled)
    assert not stage.client.of_type(server_messages.PlaybackPause)


@pytest.mark.parametrize("left_ms", [300, 200, 100, 40])
async def test_barge_in_at_the_last_frames_is_answered(stage, left_ms):
    async with stage:
        await begin_story(stage, STORY_MS - left_ms)
        await stage.user("and then what")
        await stage.until(server_messages.ReplyFinished, 2)
    assert stage.history[1][1] in STORY
    assert stage.history[2:] == [("user", "and then what"), ("anchor", ANSWER)]
    assert stage.tts.open_streams == 0


@pytest.mark.parametrize("left_ms", [300, 100, 40])
async def test_cough_at_the_last_frames_leaves_the_reply_complete(stage, left_ms):
    async with stage:
        await begin_story(stage, STORY_MS - left_ms)
        await stage.noise(150)
        finished = await stage.until(server_messages.ReplyFinished)
        await stage.silence(3_000)
    assert (finished.heard_text, finished.interrupted) == (STORY, False)
    assert len(stage.llm.prompts) == 1


async def test_short_sound_is_ignored_while_the_echo_canceller_settles(stage):
    stage.rules = replace(stage.rules, barge_in=BargeInThresholds(settling_ms=400))
    async with stage:
        await begin_story(stage, 20)
        await stage.noise(150)
        finished = await stage.until(server_messages.ReplyFinished)
    assert_undisturbed(stage, finished, Verdict.BARGE_IN_VERDICT_COUGH)
    assert not stage.client.of_type(server_messages.PlaybackPause)


async def test_words_stop_the_reply_while_the_echo_canceller_settles(stage):
    stage.rules = replace(stage.rules, barge_in=BargeInThresholds(settling_ms=500))
    async with stage:
        await begin_story(stage, 20)
        began_ms = stage.now_ms
        await stage.user("please stop")
        await stage.until(server_messages.ReplyFinished, 2)
    assert verdicts(stage) == [Verdict.BARGE_IN_VERDICT_STOP_WORDS]
    assert at_ms(stage, server_messages.PlaybackStop)[0] - began_ms <= 450
    assert stage.history[-2] == ("user", "please stop")


async def test_long_speech_stops_the_reply_while_the_echo_canceller_settles(stage):
    stage.stt.recognises_nothing = True
    async with stage:
        stage.stt.recognises_nothing = False
        await begin_story(stage, 20)
        stage.stt.recognises_nothing = True
        began_ms = stage.now_ms
        await stage.noise(900)
        await stage.until(server_messages.ReplyFinished)
    assert verdicts(stage) == [Verdict.BARGE_IN_VERDICT_STOP_DURATION]
    assert at_ms(stage, server_messages.PlaybackPause)[0] - began_ms >= 150
    assert at_ms(stage, server_messages.PlaybackStop)[0] - began_ms <= 650


# Repeated barge-ins, slow services and paused clients ---------------------------------------------------------------


async def test_ten_coughs_in_three_seconds_leave_the_reply_complete(stage):
    async with stage:
        await begin_story(stage, 400)
        for _ in range(10):
            await stage.noise(120)
            await stage.silence(180)
        finished = await stage.until(server_messages.ReplyFinished)
    assert finished.heard_text == STORY
    assert finished.heard_ms == stage.client.played[1] == STORY_MS
    assert set(verdicts(stage)) == {Verdict.BARGE_IN_VERDICT_COUGH}
    assert (
        len(stage.client.of_type(server_messages.PlaybackPause))
        == len(stage.client.of_type(server_messages.PlaybackResume))
        >= 5
    )
    assert len(stage.llm.prompts) == 1


async def test_ten_interruptions_in_three_seconds_are_one_stop_and_one_turn(stage):
    async with stage:
        await begin_story(stage)
        for number in range(10):
            await stage.user(f"no{number}")
            await stage.silence(100)
        await stage.until(server_messages.ReplyFinished, 2)
    assert len(stage.client.of_type(server_messages.PlaybackStop)) == 1
    assert verdicts(stage) == [Verdict.BARGE_IN_VERDICT_STOP_WORDS]
    assert stage.history[2][1].split() == [f"no{number}" for number in range(10)]
    assert stage.llm.closed == len(stage.llm.prompts)
    assert stage.tts.open_streams == 0


async def test_eight_barge_ins_in_a_row_leave_no_reply_running(stage):
    stage.anchor_will_say(STORY)
    async with stage:
        for number in range(8):
            await stage.user(f"question {number}")
            await stage.silence(700)
        finished = await stage.until(server_messages.ReplyFinished, 8)
    assert stage.llm.closed == len(stage.llm.prompts)
    assert stage.tts.open_streams == 0
    assert finished.turn_id == 8


@pytest.mark.parametrize(
    ("text", "verdict"),
    [("", Verdict.BARGE_IN_VERDICT_COUGH), ("mhm", Verdict.BARGE_IN_VERDICT_BACKCHANNEL)],
)
async def test_client_without_playback_reports_hears_the_complete_reply(stage, text, verdict):
    stage.reports_playback = False
    async with stage:
        await begin_story(stage)
        await (stage.user(text) if text else stage.noise(180))
        finished = await stage.until(server_messages.ReplyFinished)
        await stage.silence(300)
    assert verdicts(stage) == [verdict]
    assert finished.heard_text == STORY
    assert stage.client.played[1] == STORY_MS


async def test_cough_without_stt_pauses_the_reply_for_at_most_one_second(stage):
    async with stage:
        await begin_story(stage)
        stage.stt.failure = PeerFailed("stt.unavailable", "gone")
        stage.stt.stream.fail(stage.stt.failure)
        await stage.noise(200)
        finished = await stage.until(server_messages.ReplyFinished)
        await stage.silence(8_000)
    assert at_ms(stage, server_messages.PlaybackResume)[0] - at_ms(stage, server_messages.PlaybackPause)[0] <= 1_000
    assert finished.heard_text == STORY
    # A cough needs no apology.
    assert len(stage.client.of_type(server_messages.ReplyFinished)) == 1


async def test_late_transcript_stops_the_reply(stage):
    stage.anchor_will_say(" ".join([STORY] * 3), ANSWER)
    async with stage:
        await stage.user("tell me a story")
        await stage.until_played(900)
        stage.stt.delay_ms = 1_500
        stage.stt.partials = False
        await stage.user("hold on")
        await stage.until(server_messages.ReplyFinished, 2)
    assert len(stage.client.of_type(server_messages.PlaybackResume)) == 1
    assert verdicts(stage) == [Verdict.BARGE_IN_VERDICT_STOP_WORDS]
    assert stage.history[-2:] == [("user", "hold on"), ("anchor", ANSWER)]


async def test_cough_does_not_resume_a_reply_that_the_client_paused(stage):
    async with stage:
        await begin_story(stage)
        stage.command(client_messages.Pause())
        await stage.until(server_messages.PlaybackPause)
        await stage.noise(180)
        await stage.until(server_messages.BargeInSettled)
        await stage.silence(1_000)
        assert not stage.client.of_type(server_messages.PlaybackResume)
        stage.command(client_messages.Resume())
        finished = await stage.until(server_messages.ReplyFinished)
    assert_undisturbed(stage, finished, Verdict.BARGE_IN_VERDICT_COUGH)


async def test_barge_in_verdicts_are_counted_and_logged(stage, caplog):
    def counted(verdict: str) -> float:
        return REGISTRY.get_sample_value("anchor_barge_ins_total", {"verdict": verdict}) or 0.0

    before = {verdict: counted(verdict) for verdict in ("cough", "backchannel", "stop_words")}
    caplog.set_level(logging.INFO)
    async with stage:
        await begin_story(stage, 600)
        await stage.noise(180)
        await stage.until(server_messages.PlaybackResume)
        await stage.user("mhm")
        await stage.until(server_messages.PlaybackResume, 2)
        await stage.user("that is enough")
        await stage.until(server_messages.ReplyFinished)
    expected = {"cough": 1, "backchannel": 1, "stop_words": 1}
    assert {verdict: counted(verdict) - before[verdict] for verdict in before} == expected
    turn = next(record for record in caplog.records if record.message == "turn finished")
    assert turn.barge_ins == expected
