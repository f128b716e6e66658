"""A reply goes on when its voice breaks, hangs or stays away."""

from __future__ import annotations

from orchestrator.conversation.messages import client as client_messages
from orchestrator.conversation.messages import server as server_messages
from sentence_voice import (
    BROKE,
    GONE,
    TALE,
    WORD_MS,
    Breaks,
    SentenceVoice,
    counted,
    sounded,
    words_of,
)
from service_kit.errors import InvalidRequest


async def test_a_sentence_that_broke_before_it_was_sent_is_said_again_whole(tale, voice):
    voice.breaks.append(Breaks(BROKE, at_word=20, said_ms=120))
    before = counted("anchor_voice_failures_total", then="again")
    async with tale:
        tale.command(client_messages.TextInput("a tale"))
        finished = await tale.until(server_messages.ReplyFinished, within_s=60)
    assert sounded(tale) == words_of(TALE)
    assert finished.heard_text == TALE
    assert not tale.ear.of(server_messages.Error)
    assert voice.asked_for == ["", ""]
    assert counted("anchor_voice_failures_total", then="again") == before + 1
    marks = tale.ear.of(server_messages.SpeechMark)
    assert [TALE[mark.text_start : mark.text_end] for mark in marks] == TALE.split()
    assert [mark.offset_ms for mark in marks] == [index * WORD_MS for index in range(len(marks))]


async def test_a_sentence_that_broke_while_it_sounded_goes_on_at_the_word(tale, voice):
    # Slower than the ear, so that all that is made has left.
    voice.factor = 1.0
    voice.breaks.append(Breaks(BROKE, at_word=4, said_ms=120))
    async with tale:
        tale.command(client_messages.TextInput("a tale"))
        finished = await tale.until(server_messages.ReplyFinished, within_s=60)
    words = words_of(TALE)
    assert sounded(tale) == [*words[:4], (words[4][0], 120 + WORD_MS), *words[5:]]
    assert finished.heard_text == TALE
    assert finished.heard_ms == len(words) * WORD_MS + 120


async def test_what_was_heard_is_exact_behind_the_seam(tale, voice):
    voice.breaks.append(Breaks(BROKE, at_word=20, said_ms=120))
    async with tale:
        tale.command(client_messages.TextInput("a tale"))
        await tale.until_played(30 * WORD_MS)
        tale.command(client_messages.Interrupt())
        finished = await tale.until(server_messages.ReplyFinished)
    assert finished.heard_text.split() in (TALE.split()[:30], TALE.split()[:31])


async def test_a_voice_that_is_gone_for_a_moment_is_waited_for(tale, voice):
    voice.breaks.extend([Breaks(GONE, at_word=4), *[Breaks(GONE, at_word=-1)] * 9])
    async with tale:
        tale.command(client_messages.TextInput("a tale"))
        finished = await tale.until(server_messages.ReplyFinished, within_s=60)
    assert sounded(tale) == words_of(TALE)
    assert finished.heard_text == TALE
    assert not tale.ear.of(server_messages.Error)


async def test_a_voice_that_stays_away_leaves_captions_soon(tale, voice):
    voice.breaks.extend([Breaks(GONE, at_word=4), *[Breaks(GONE, at_word=-1)] * 500])
    async with tale:
        tale.command(client_messages.TextInput("a tale"))
        await tale.until_played(3 * WORD_MS)
        error = await tale.until(server_messages.Error, within_s=4)
        assert tale.now_ms - tale.ear.last_frame_s * 1000 <= 4 * WORD_MS + 1600
        finished = await tale.until(server_messages.ReplyFinished)
    assert (error.code, error.message) == ("tts.unavailable", "captions only: gone")
    assert "".join(message.text for message in tale.ear.of(server_messages.ReplyText)) == TALE
    assert finished.heard_text == TALE
    assert len(voice.asked_for) <= 40


async def test_an_engine_that_breaks_twice_is_not_asked_a_third_time(tale, voice):
    voice.breaks.extend([Breaks(BROKE, at_word=0)] * 3)
    async with tale:
        tale.command(client_messages.TextInput("a tale"))
        finished = await tale.until(server_messages.ReplyFinished, within_s=60)
    assert len(voice.asked_for) == 2
    assert tale.ear.of(server_messages.Error)[0].code == "tts.engine_failed"
    assert finished.heard_text == TALE


async def test_another_voice_speaks_on_and_the_client_is_told(tale, voice):
    other = SentenceVoice()
    tale.fallback_tts = (other,)
    voice.breaks.extend([Breaks(BROKE, at_word=20), Breaks(BROKE, at_word=6)])
    async with tale:
        tale.command(client_messages.SetVoice("marie"))
        tale.command(client_messages.TextInput("a tale"))
        finished = await tale.until(server_messages.ReplyFinished, within_s=60)
    assert sounded(tale) == words_of(TALE)
    assert finished.heard_text == TALE
    assert (voice.asked_for, other.asked_for) == (["marie", "marie"], [""])
    (error,) = tale.ear.of(server_messages.Error)
    assert (error.code, error.message) == ("tts.engine_failed", "continuing with the fallback TTS: it broke")


async def test_a_voice_that_there_is_not_is_not_asked_for_twice(tale, voice):
    voice.breaks.append(Breaks(InvalidRequest("tts.unknown_voice", "nobody"), at_word=0))
    async with tale:
        tale.command(client_messages.TextInput("a tale"))
        await tale.until(server_messages.ReplyFinished, within_s=60)
    assert len(voice.asked_for) == 1
    assert tale.ear.of(server_messages.Error)[0].code == "tts.unknown_voice"


async def test_a_voice_that_hangs_is_given_up_while_the_listener_waits(tale, voice):
    voice.breaks.append(Breaks(at_word=10, stall_s=1000))
    async with tale:
        tale.command(client_messages.TextInput("a tale"))
        finished = await tale.until(server_messages.ReplyFinished, within_s=60)
    assert len(voice.asked_for) == 2
    assert sounded(tale) == words_of(TALE)
    assert finished.heard_text == TALE


async def test_an_interruption_ends_the_asking(tale, voice):
    voice.breaks.extend([Breaks(GONE, at_word=4), *[Breaks(GONE, at_word=-1)] * 500])
    async with tale:
        tale.command(client_messages.TextInput("a tale"))
        await tale.until_played(4 * WORD_MS)
        tale.command(client_messages.Interrupt())
        finished = await tale.until(server_messages.ReplyFinished)
        asked = len(voice.asked_for)
        await tale.silence(3000)
        assert len(voice.asked_for) == asked
    assert finished.heard_text == "Once upon a time"
