"""Speech comes late enough to waste little, and early enough not to run dry."""

from __future__ import annotations

import re

import pytest
from orchestrator.conversation.messages import client as client_messages
from orchestrator.conversation.messages import server as server_messages
from sentence_voice import (
    TALE,
    WORD_MS,
    Breaks,
    counted,
    sounded,
    words_of,
)


async def test_of_a_reply_written_at_once_only_a_few_seconds_are_made_ahead(tale, voice):
    async with tale:
        tale.command(client_messages.TextInput("a tale"))
        await tale.until(server_messages.ReplyAudio)
        ahead_ms = []
        while not tale.ear.of(server_messages.ReplyFinished):
            await tale.silence(100)
            ahead_ms.append(voice.made_ms - tale.ear.played[1])
    # Three seconds, and the sentence that was given when there were fewer: its nine words, and what the ear is behind.
    assert 3000 < max(ahead_ms) <= 3000 + 10 * WORD_MS + 200
    assert tale.history[-1] == ("anchor", TALE)
    assert sounded(tale) == words_of(TALE)


async def test_text_is_given_in_whole_sentences_and_the_first_at_once(tale, voice):
    async with tale:
        tale.command(client_messages.TextInput("a tale"))
        await tale.until(server_messages.ReplyFinished, within_s=60)
    assert voice.given == TALE
    began_s = voice.given_at_s[0][0]
    at_once = "".join(text for at_s, text in voice.given_at_s if at_s < began_s + 0.1)
    assert at_once == "Once upon a time there was a king. He lived in a castle by the sea. Every "
    for at_s, text in [given for given in voice.given_at_s if given[0] >= began_s + 0.1][:-1]:
        assert at_s > began_s + 0.5
        # One word of the next sentence, which shows that this one is over.
        assert re.search(r"\. \w+ $", text)


async def test_a_model_slower_than_speech_is_followed_word_by_word(tale, voice):
    tale.model.token_ms = 350
    async with tale:
        tale.command(client_messages.TextInput("a tale"))
        await tale.until(server_messages.ReplyFinished, within_s=60)
    assert max(len(text.split()) for _, text in voice.given_at_s) <= 2


@pytest.mark.parametrize("reports", [True, False])
async def test_a_voice_that_is_slow_to_begin_is_never_too_late(tale, voice, reports):
    tale.reports_playback = reports
    voice.first_ms, voice.factor = 900, 0.5
    before = counted("anchor_playout_underruns_total")
    async with tale:
        tale.command(client_messages.TextInput("a tale"))
        await tale.until(server_messages.ReplyFinished, within_s=60)
    assert counted("anchor_playout_underruns_total") == before
    assert tale.history[-1] == ("anchor", TALE)


async def test_a_voice_that_marks_no_words_is_not_starved(tale, voice):
    voice.marks = False
    before = counted("anchor_playout_underruns_total")
    async with tale:
        tale.command(client_messages.TextInput("a tale"))
        await tale.until(server_messages.ReplyFinished, within_s=60)
    assert counted("anchor_playout_underruns_total") == before
    assert sounded(tale) == words_of(TALE)


async def test_while_the_reply_is_paused_nothing_more_is_made(tale, voice):
    async with tale:
        tale.command(client_messages.TextInput("a tale"))
        await tale.until_played(1000)
        tale.command(client_messages.Pause())
        await tale.silence(500)
        made_ms = voice.made_ms
        await tale.silence(60_000)
        assert voice.made_ms == made_ms
        tale.command(client_messages.Resume())
        await tale.until(server_messages.ReplyFinished, within_s=60)
    assert sounded(tale) == words_of(TALE)
    assert not tale.ear.of(server_messages.Error)


async def test_what_an_interruption_wastes_is_bounded_and_counted(tale, voice, caplog):
    caplog.set_level("INFO")
    before_ms = counted("anchor_speech_wasted_ms_sum")
    async with tale:
        tale.command(client_messages.TextInput("a tale"))
        await tale.until_played(4000)
        tale.command(client_messages.Interrupt())
        finished = await tale.until(server_messages.ReplyFinished)
        wasted_ms = voice.made_ms - finished.heard_ms
    assert counted("anchor_speech_wasted_ms_sum") - before_ms == pytest.approx(wasted_ms, abs=1)
    assert 2000 < wasted_ms <= 3000 + 10 * WORD_MS + 200
    (turn,) = [record for record in caplog.records if record.message == "turn finished"]
    assert turn.wasted_ms == pytest.approx(wasted_ms, abs=1)


async def test_a_reply_begun_in_vain_counts_as_waste(tale, voice):
    before = counted("anchor_speech_wasted_ms_count")
    async with tale:
        await tale.user("tell me")
        await tale.silence(300)
        await tale.user("a tale")
        await tale.until(server_messages.ReplyAudio)
        assert counted("anchor_speech_wasted_ms_count") == before + 1


async def test_long_runs_of_speech_go_in_short_frames_to_a_client_without_reports(tale, voice):
    tale.reports_playback = False
    voice.factor, voice.frame_ms = 0.0, 300
    async with tale:
        tale.command(client_messages.TextInput("a tale"))
        await tale.until_played(600)
        in_hand_ms = []
        for _ in range(100):
            await tale.silence(20)
            in_hand_ms.append(tale.ear.buffer_ms)
    assert min(in_hand_ms) >= 100
    assert max(in_hand_ms) <= 270


async def test_a_client_that_takes_all_at_once_is_not_kept_to_the_pace_of_an_ear(tale, voice):
    async with tale:
        began_ms = tale.now_ms
        tale.command(client_messages.TextInput("a tale"))
        await tale.until(server_messages.ReplyAudio)
        while not tale.ear.of(server_messages.ReplyFinished):
            # What has been delivered counts as heard, as where a file is asked for.
            tale.command(client_messages.PlaybackProgress(1, len(tale.ear.pcm) // 48))
            await tale.silence(20)
    assert sounded(tale) == words_of(TALE)
    # 20 s of speech, made at a tenth of real time, with ten sentences to begin.
    assert tale.now_ms - began_ms < 6000


@pytest.mark.parametrize("reports", [True, False])
async def test_a_voice_that_stalls_leaves_a_silence_and_nothing_else(tale, voice, reports, caplog):
    caplog.set_level("INFO")
    tale.reports_playback = reports
    # In its third sentence, with 16 words of 300 ms made: the voice needs 4.8 s + 1.5 s more than the ear has by then.
    voice.breaks.append(Breaks(at_word=16, stall_s=6.3))
    voice.factor = 0.0
    before = counted("anchor_playout_underruns_total"), counted("anchor_playout_underrun_ms_total")
    async with tale:
        tale.command(client_messages.TextInput("a tale"))
        finished = await tale.until(server_messages.ReplyFinished, within_s=60)
    assert counted("anchor_playout_underruns_total") == before[0] + 1
    underrun_ms = counted("anchor_playout_underrun_ms_total") - before[1]
    # The stalled sentence was given when three seconds were in hand, at the latest.
    assert 1500 <= underrun_ms <= 6300
    (turn,) = [record for record in caplog.records if record.message == "turn finished"]
    assert (turn.underruns, turn.underrun_ms) == (1, round(underrun_ms))
    # No sample of silence was sent, no place in the reply skipped, no word lost.
    assert [message.offset_ms for message in tale.ear.of(server_messages.ReplyAudio)] == [0]
    assert sounded(tale) == words_of(TALE)
    assert finished.heard_text == TALE
    assert finished.heard_ms == pytest.approx(len(words_of(TALE)) * WORD_MS, abs=1)


@pytest.mark.parametrize("reports", [True, False])
async def test_what_was_heard_is_exact_behind_a_silence(tale, voice, reports):
    tale.reports_playback = reports
    voice.breaks.append(Breaks(at_word=16, stall_s=6.3))
    voice.factor = 0.0
    async with tale:
        tale.command(client_messages.TextInput("a tale"))
        await tale.until_played(17.5 * WORD_MS)
        tale.command(client_messages.Interrupt())
        finished = await tale.until(server_messages.ReplyFinished)
    assert finished.heard_text.split() in (TALE.split()[:17], TALE.split()[:18])
    assert finished.heard_ms == pytest.approx(17.5 * WORD_MS, abs=260)


async def test_a_barge_in_into_the_silence_counts_it(tale, voice):
    voice.breaks.append(Breaks(at_word=8, stall_s=5))
    voice.factor = 0.0
    before_ms = counted("anchor_playout_underrun_ms_total")
    async with tale:
        tale.command(client_messages.TextInput("a tale"))
        await tale.until_played(8 * WORD_MS)
        await tale.silence(1000)
        tale.command(client_messages.Interrupt())
        finished = await tale.until(server_messages.ReplyFinished)
    assert counted("anchor_playout_underrun_ms_total") - before_ms == pytest.approx(1000, abs=120)
    assert finished.heard_text == "Once upon a time there was a king."
