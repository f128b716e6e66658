"""Text pacing and playout: little wasted speech, and no underruns."""

from __future__ import annotations

import re

import pytest
from orchestrator.conversation.messages import client as client_messages
from orchestrator.conversation.messages import server as server_messages
from sentence_tts import (
    STORY,
    WORD_MS,
    TtsFault,
    expected_words,
    metric_value,
    played_words,
)


async def test_synthesis_stays_a_few_seconds_ahead_of_playback(story_stage, tts):
    async with story_stage:
        story_stage.command(client_messages.TextInput("a story"))
        await story_stage.until(server_messages.ReplyAudio)
        ahead_ms = []
        while not story_stage.client.of_type(server_messages.ReplyFinished):
            await story_stage.silence(100)
            ahead_ms.append(tts.synthesised_ms - story_stage.client.played[1])
    # Three seconds, the next sentence (nine words), and the delay of the playback reports.
    assert 3000 < max(ahead_ms) <= 3000 + 10 * WORD_MS + 200
    assert story_stage.history[-1] == ("anchor", STORY)
    assert played_words(story_stage) == expected_words(STORY)


async def test_text_is_flushed_by_the_sentence_and_the_first_at_once(story_stage, tts):
    async with story_stage:
        story_stage.command(client_messages.TextInput("a story"))
        await story_stage.until(server_messages.ReplyFinished, within_s=60)
    assert tts.received_text == STORY
    began_s = tts.received_at_s[0][0]
    at_once = "".join(text for at_s, text in tts.received_at_s if at_s < began_s + 0.1)
    assert at_once == "Once upon a time there was a king. He lived in a castle by the sea. Every "
    for at_s, text in [given for given in tts.received_at_s if given[0] >= began_s + 0.1][:-1]:
        assert at_s > began_s + 0.5
        # One word of the next sentence, which ends this one.
        assert re.search(r"\. \w+ $", text)


async def test_text_of_a_slow_llm_is_flushed_word_by_word(story_stage, tts):
    story_stage.llm.token_ms = 350
    async with story_stage:
        story_stage.command(client_messages.TextInput("a story"))
        await story_stage.until(server_messages.ReplyFinished, within_s=60)
    assert max(len(text.split()) for _, text in tts.received_at_s) <= 2


@pytest.mark.parametrize("reports", [True, False])
async def test_slow_first_audio_causes_no_underrun(story_stage, tts, reports):
    story_stage.reports_playback = reports
    tts.first_audio_ms, tts.real_time_factor = 900, 0.5
    before = metric_value("anchor_playout_underruns_total")
    async with story_stage:
        story_stage.command(client_messages.TextInput("a story"))
        await story_stage.until(server_messages.ReplyFinished, within_s=60)
    assert metric_value("anchor_playout_underruns_total") == before
    assert story_stage.history[-1] == ("anchor", STORY)


async def test_tts_without_marks_gets_text_in_time(story_stage, tts):
    tts.marks = False
    before = metric_value("anchor_playout_underruns_total")
    async with story_stage:
        story_stage.command(client_messages.TextInput("a story"))
        await story_stage.until(server_messages.ReplyFinished, within_s=60)
    assert metric_value("anchor_playout_underruns_total") == before
    assert played_words(story_stage) == expected_words(STORY)


async def test_paused_reply_stops_synthesis(story_stage, tts):
    async with story_stage:
        story_stage.command(client_messages.TextInput("a story"))
        await story_stage.until_played(1000)
        story_stage.command(client_messages.Pause())
        await story_stage.silence(500)
        synthesised_ms = tts.synthesised_ms
        await story_stage.silence(60_000)
        assert tts.synthesised_ms == synthesised_ms
        story_stage.command(client_messages.Resume())
        await story_stage.until(server_messages.ReplyFinished, within_s=60)
    assert played_words(story_stage) == expected_words(STORY)
    assert not story_stage.client.of_type(server_messages.Error)


async def test_wasted_speech_of_an_interruption_is_bounded_and_counted(story_stage, tts, caplog):
    caplog.set_level("INFO")
    before_ms = metric_value("anchor_speech_wasted_ms_sum")
    async with story_stage:
        story_stage.command(client_messages.TextInput("a story"))
        await story_stage.until_played(4000)
        story_stage.command(client_messages.Interrupt())
        finished = await story_stage.until(server_messages.ReplyFinished)
        wasted_ms = tts.synthesised_ms - finished.heard_ms
    assert metric_value("anchor_speech_wasted_ms_sum") - before_ms == pytest.approx(wasted_ms, abs=1)
    assert 2000 < wasted_ms <= 3000 + 10 * WORD_MS + 200
    (turn,) = [record for record in caplog.records if record.message == "turn finished"]
    assert turn.wasted_ms == pytest.approx(wasted_ms, abs=1)


async def test_discarded_speculative_reply_counts_as_waste(story_stage, tts):
    before = metric_value("anchor_speech_wasted_ms_count")
    async with story_stage:
        await story_stage.user("tell me")
        await story_stage.silence(300)
        await story_stage.ask("a story")
        assert metric_value("anchor_speech_wasted_ms_count") == before + 1


async def test_client_without_reports_gets_long_audio_in_short_frames(story_stage, tts):
    story_stage.reports_playback = False
    tts.real_time_factor, tts.frame_ms = 0.0, 300
    async with story_stage:
        story_stage.command(client_messages.TextInput("a story"))
        await story_stage.until_played(600)
        buffered_ms = []
        for _ in range(100):
            await story_stage.silence(20)
            buffered_ms.append(story_stage.client.buffer_ms)
    assert min(buffered_ms) >= 100
    assert max(buffered_ms) <= 270


async def test_client_that_reports_faster_than_real_time_is_not_slowed_down(story_stage, tts):
    async with story_stage:
        began_ms = story_stage.now_ms
        story_stage.command(client_messages.TextInput("a story"))
        await story_stage.until(server_messages.ReplyAudio)
        while not story_stage.client.of_type(server_messages.ReplyFinished):
            # Delivered audio counts as heard, as for a client that writes a file.
            story_stage.command(client_messages.PlaybackProgress(1, len(story_stage.client.pcm) // 48))
            await story_stage.silence(20)
    assert played_words(story_stage) == expected_words(STORY)
    # 20 s of speech at a tenth of real time, plus the first audio of ten sentences.
    assert story_stage.now_ms - began_ms < 6000


@pytest.mark.parametrize("reports", [True, False])
async def test_stalled_tts_causes_one_underrun_and_loses_no_word(story_stage, tts, reports, caplog):
    caplog.set_level("INFO")
    story_stage.reports_playback = reports
    # In the third sentence, after 16 words of 300 ms: the stall is 1.5 s longer than the 4.8 s of speech so far.
    tts.faults.append(TtsFault(at_word=16, stall_s=6.3))
    tts.real_time_factor = 0.0
    before = metric_value("anchor_playout_underruns_total"), metric_value("anchor_playout_underrun_ms_total")
    async with story_stage:
        story_stage.command(client_messages.TextInput("a story"))
        finished = await story_stage.until(server_messages.ReplyFinished, within_s=60)
    assert metric_value("anchor_playout_underruns_total") == before[0] + 1
    underrun_ms = metric_value("anchor_playout_underrun_ms_total") - before[1]
    # The stalled sentence was flushed with at most three seconds of speech ahead.
    assert 1500 <= underrun_ms <= 6300
    (turn,) = [record for record in caplog.records if record.message == "turn finished"]
    assert (turn.underruns, turn.underrun_ms) == (1, round(underrun_ms))
    # No silence was sent, no offset skipped, no word lost.
    assert [message.offset_ms for message in story_stage.client.of_type(server_messages.ReplyAudio)] == [0]
    assert played_words(story_stage) == expected_words(STORY)
    assert finished.heard_text == STORY
    assert finished.heard_ms == pytest.approx(len(expected_words(STORY)) * WORD_MS, abs=1)


@pytest.mark.parametrize("reports", [True, False])
async def test_heard_words_are_exact_after_an_underrun(story_stage, tts, reports):
    story_stage.reports_playback = reports
    tts.faults.append(TtsFault(at_word=16, stall_s=6.3))
    tts.real_time_factor = 0.0
    async with story_stage:
        story_stage.command(client_messages.TextInput("a story"))
        await story_stage.until_played(17.5 * WORD_MS)
        story_stage.command(client_messages.Interrupt())
        finished = await story_stage.until(server_messages.ReplyFinished)
    assert finished.heard_text.split() in (STORY.split()[:17], STORY.split()[:18])
    assert finished.heard_ms == pytest.approx(17.5 * WORD_MS, abs=260)


async def test_interrupt_during_an_underrun_counts_it(story_stage, tts):
    tts.faults.append(TtsFault(at_word=8, stall_s=5))
    tts.real_time_factor = 0.0
    before_ms = metric_value("anchor_playout_underrun_ms_total")
    async with story_stage:
        story_stage.command(client_messages.TextInput("a story"))
        await story_stage.until_played(8 * WORD_MS)
        await story_stage.silence(1000)
        story_stage.command(client_messages.Interrupt())
        finished = await story_stage.until(server_messages.ReplyFinished)
    assert metric_value("anchor_playout_underrun_ms_total") - before_ms == pytest.approx(1000, abs=120)
    assert finished.heard_text == "Once upon a time there was a king."
