"""Speech comes late enough to waste little, early enough not to run dry, and goes on when a voice breaks."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pytest
from orchestrator.conversation import client_messages as said
from orchestrator.conversation import server_messages as told
from orchestrator.conversation.ports import Mark, PhraseBegun, Spoken
from prometheus_client import REGISTRY
from service_kit.errors import AnchorError, EngineFailed, InvalidRequest, PeerFailed

WORD_MS = 300
FRAME_MS = 60
TALE = (
    "Once upon a time there was a king. He lived in a castle by the sea. Every night he counted the stars. "
    "One of them was missing. He sent for the wisest woman in the land. She laughed and said that it was early. "
    "The king went back to bed. In the morning the star was on his table. It was made of glass. He kept it."
)
GONE = PeerFailed("tts.unavailable", "gone")
BROKE = EngineFailed("tts.engine_failed", "it broke")
# No word of the tale follows itself, so a word's place here can be its sound.
WORDS = sorted(set(re.findall(r"\w+", TALE)))
SENTENCE = re.compile(r"[^.]+\.\s*")


@dataclass
class Breaks:
    """What one stream of the voice does wrong: its word `at_word` (from 0) comes with `error`, or not at all."""

    error: AnchorError | None = None
    at_word: int = 0
    # Of that word, so much is said before it breaks.
    said_ms: int = 0
    stall_s: float = 0.0


@dataclass
class SentenceVoice:
    """Speaks a sentence when what follows it is there, as tts-service does: `first_ms` after it could, then at
    `factor` of real time. The samples of a word all have one value, its own.
    """

    first_ms: float = 100
    factor: float = 0.1
    marks: bool = True
    frame_ms: int = FRAME_MS
    breaks: deque[Breaks | None] = field(default_factory=deque)
    asked_for: list[str] = field(default_factory=list)
    given: str = ""
    given_at_s: list[tuple[float, str]] = field(default_factory=list)
    made_ms: float = 0.0

    @asynccontextmanager
    async def open(self, voice, language, style):
        self.asked_for.append(voice)
        breaks = self.breaks.popleft() if self.breaks else None
        if breaks and breaks.error and breaks.at_word < 0:
            raise breaks.error
        yield SentenceStream(self, breaks or Breaks(at_word=10_000))


class SentenceStream:
    def __init__(self, voice: SentenceVoice, breaks: Breaks) -> None:
        self._voice = voice
        self._breaks = breaks
        self._text = ""
        self._done = False
        self._more = asyncio.Event()

    async def say(self, text) -> None:
        self._text += text
        self._voice.given += text
        self._voice.given_at_s.append((asyncio.get_running_loop().time(), text))
        self._more.set()

    async def finish(self) -> None:
        self._done = True
        self._more.set()

    async def speech(self):
        position = words = 0
        offset_ms = 0.0
        while True:
            match = SENTENCE.match(self._text, position)
            if match is None or (match.end() == len(self._text) and not self._done):
                if self._done:
                    return
                self._more.clear()
                await self._more.wait()
                continue
            yield PhraseBegun(match.start(), match.end())
            await asyncio.sleep(self._voice.first_ms / 1000)
            for word in re.finditer(r"\S+", match[0]):
                start = match.start() + word.start()
                if self._voice.marks:
                    yield Mark(start, match.start() + word.end(), round(offset_ms))
                length_ms = WORD_MS
                if words == self._breaks.at_word:
                    await asyncio.sleep(self._breaks.stall_s)
                    length_ms = self._breaks.said_ms if self._breaks.error else WORD_MS
                frame_ms = self._voice.frame_ms
                for _ in range(length_ms // frame_ms):
                    await asyncio.sleep(frame_ms * self._voice.factor / 1000)
                    value = WORDS.index(word[0].strip(".")) + 1
                    yield Spoken(round(offset_ms), np.full(24 * frame_ms, value, "<i2").tobytes())
                    offset_ms += frame_ms
                    self._voice.made_ms += frame_ms
                if words == self._breaks.at_word and self._breaks.error:
                    raise self._breaks.error
                words += 1
            position = match.end()


def sounded(stage) -> list[tuple[str, int]]:
    """The words that came to the ear, each with the time it lasted, in order."""
    samples = np.frombuffer(bytes(stage.ear.pcm), "<i2")
    edges = [0, *(np.flatnonzero(np.diff(samples)) + 1), len(samples)]
    spans = pairwise(edges)
    return [(WORDS[samples[start] - 1], round((end - start) / 24)) for start, end in spans]


def words_of(text: str) -> list[tuple[str, int]]:
    return [(word, WORD_MS) for word in re.findall(r"\w+", text)]


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


@pytest.fixture
def voice() -> SentenceVoice:
    return SentenceVoice()


@pytest.fixture
def tale(stage, voice):
    """The stage, with a model that writes the whole tale at once and the voice above."""
    stage.speech = voice
    stage.model.first_token_ms = stage.model.token_ms = 0
    stage.anchor_will_say(TALE)
    return stage


# Pacing -------------------------------------------------------------------------------------------------------------


async def test_of_a_reply_written_at_once_only_a_few_seconds_are_made_ahead(tale, voice):
    async with tale:
        tale.command(said.TextInput("a tale"))
        await tale.until(told.ReplyAudio)
        ahead_ms = []
        while not tale.ear.of(told.ReplyFinished):
            await tale.silence(100)
            ahead_ms.append(voice.made_ms - tale.ear.played[1])
    # Three seconds, and the sentence that was given when there were fewer: its nine words, and what the ear is behind.
    assert 3000 < max(ahead_ms) <= 3000 + 10 * WORD_MS + 200
    assert tale.history[-1] == ("anchor", TALE)
    assert sounded(tale) == words_of(TALE)


async def test_text_is_given_in_whole_sentences_and_the_first_at_once(tale, voice):
    async with tale:
        tale.command(said.TextInput("a tale"))
        await tale.until(told.ReplyFinished, within_s=60)
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
        tale.command(said.TextInput("a tale"))
        await tale.until(told.ReplyFinished, within_s=60)
    assert max(len(text.split()) for _, text in voice.given_at_s) <= 2


@pytest.mark.parametrize("reports", [True, False])
async def test_a_voice_that_is_slow_to_begin_is_never_too_late(tale, voice, reports):
    tale.reports_playback = reports
    voice.first_ms, voice.factor = 900, 0.5
    before = counted("anchor_playout_underruns_total")
    async with tale:
        tale.command(said.TextInput("a tale"))
        await tale.until(told.ReplyFinished, within_s=60)
    assert counted("anchor_playout_underruns_total") == before
    assert tale.history[-1] == ("anchor", TALE)


async def test_a_voice_that_marks_no_words_is_not_starved(tale, voice):
    voice.marks = False
    before = counted("anchor_playout_underruns_total")
    async with tale:
        tale.command(said.TextInput("a tale"))
        await tale.until(told.ReplyFinished, within_s=60)
    assert counted("anchor_playout_underruns_total") == before
    assert sounded(tale) == words_of(TALE)


async def test_while_the_reply_is_paused_nothing_more_is_made(tale, voice):
    async with tale:
        tale.command(said.TextInput("a tale"))
        await tale.until_played(1000)
        tale.command(said.Pause())
        await tale.silence(500)
        made_ms = voice.made_ms
        await tale.silence(60_000)
        assert voice.made_ms == made_ms
        tale.command(said.Resume())
        await tale.until(told.ReplyFinished, within_s=60)
    assert sounded(tale) == words_of(TALE)
    assert not tale.ear.of(told.Error)


async def test_what_an_interruption_wastes_is_bounded_and_counted(tale, voice, caplog):
    caplog.set_level("INFO")
    before_ms = counted("anchor_speech_wasted_ms_sum")
    async with tale:
        tale.command(said.TextInput("a tale"))
        await tale.until_played(4000)
        tale.command(said.Interrupt())
        finished = await tale.until(told.ReplyFinished)
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
        await tale.until(told.ReplyAudio)
        assert counted("anchor_speech_wasted_ms_count") == before + 1


async def test_long_runs_of_speech_go_in_short_frames_to_a_client_without_reports(tale, voice):
    tale.reports_playback = False
    voice.factor, voice.frame_ms = 0.0, 300
    async with tale:
        tale.command(said.TextInput("a tale"))
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
        tale.command(said.TextInput("a tale"))
        await tale.until(told.ReplyAudio)
        while not tale.ear.of(told.ReplyFinished):
            # What has been delivered counts as heard, as where a file is asked for.
            tale.command(said.PlaybackProgress(1, len(tale.ear.pcm) // 48))
            await tale.silence(20)
    assert sounded(tale) == words_of(TALE)
    # 20 s of speech, made at a tenth of real time, with ten sentences to begin.
    assert tale.now_ms - began_ms < 6000


# Underruns ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reports", [True, False])
async def test_a_voice_that_stalls_leaves_a_silence_and_nothing_else(tale, voice, reports, caplog):
    caplog.set_level("INFO")
    tale.reports_playback = reports
    # In its third sentence, with 16 words of 300 ms made: the voice needs 4.8 s + 1.5 s more than the ear has by then.
    voice.breaks.append(Breaks(at_word=16, stall_s=6.3))
    voice.factor = 0.0
    before = counted("anchor_playout_underruns_total"), counted("anchor_playout_underrun_ms_total")
    async with tale:
        tale.command(said.TextInput("a tale"))
        finished = await tale.until(told.ReplyFinished, within_s=60)
    assert counted("anchor_playout_underruns_total") == before[0] + 1
    underrun_ms = counted("anchor_playout_underrun_ms_total") - before[1]
    # The stalled sentence was given when three seconds were in hand, at the latest.
    assert 1500 <= underrun_ms <= 6300
    (turn,) = [record for record in caplog.records if record.message == "turn finished"]
    assert (turn.underruns, turn.underrun_ms) == (1, round(underrun_ms))
    # No sample of silence was sent, no place in the reply skipped, no word lost.
    assert [message.offset_ms for message in tale.ear.of(told.ReplyAudio)] == [0]
    assert sounded(tale) == words_of(TALE)
    assert finished.heard_text == TALE
    assert finished.heard_ms == pytest.approx(len(words_of(TALE)) * WORD_MS, abs=1)


@pytest.mark.parametrize("reports", [True, False])
async def test_what_was_heard_is_exact_behind_a_silence(tale, voice, reports):
    tale.reports_playback = reports
    voice.breaks.append(Breaks(at_word=16, stall_s=6.3))
    voice.factor = 0.0
    async with tale:
        tale.command(said.TextInput("a tale"))
        await tale.until_played(17.5 * WORD_MS)
        tale.command(said.Interrupt())
        finished = await tale.until(told.ReplyFinished)
    assert finished.heard_text.split() in (TALE.split()[:17], TALE.split()[:18])
    assert finished.heard_ms == pytest.approx(17.5 * WORD_MS, abs=260)


async def test_a_barge_in_into_the_silence_counts_it(tale, voice):
    voice.breaks.append(Breaks(at_word=8, stall_s=5))
    voice.factor = 0.0
    before_ms = counted("anchor_playout_underrun_ms_total")
    async with tale:
        tale.command(said.TextInput("a tale"))
        await tale.until_played(8 * WORD_MS)
        await tale.silence(1000)
        tale.command(said.Interrupt())
        finished = await tale.until(told.ReplyFinished)
    assert counted("anchor_playout_underrun_ms_total") - before_ms == pytest.approx(1000, abs=120)
    assert finished.heard_text == "Once upon a time there was a king."


# A voice that breaks ------------------------------------------------------------------------------------------------


async def test_a_sentence_that_broke_before_it_was_sent_is_said_again_whole(tale, voice):
    voice.breaks.append(Breaks(BROKE, at_word=20, said_ms=120))
    before = counted("anchor_voice_failures_total", then="again")
    async with tale:
        tale.command(said.TextInput("a tale"))
        finished = await tale.until(told.ReplyFinished, within_s=60)
    assert sounded(tale) == words_of(TALE)
    assert finished.heard_text == TALE
    assert not tale.ear.of(told.Error)
    assert voice.asked_for == ["", ""]
    assert counted("anchor_voice_failures_total", then="again") == before + 1
    marks = tale.ear.of(told.SpeechMark)
    assert [TALE[mark.text_start : mark.text_end] for mark in marks] == TALE.split()
    assert [mark.offset_ms for mark in marks] == [index * WORD_MS for index in range(len(marks))]


async def test_a_sentence_that_broke_while_it_sounded_goes_on_at_the_word(tale, voice):
    # Slower than the ear, so that all that is made has left.
    voice.factor = 1.0
    voice.breaks.append(Breaks(BROKE, at_word=4, said_ms=120))
    async with tale:
        tale.command(said.TextInput("a tale"))
        finished = await tale.until(told.ReplyFinished, within_s=60)
    words = words_of(TALE)
    assert sounded(tale) == [*words[:4], (words[4][0], 120 + WORD_MS), *words[5:]]
    assert finished.heard_text == TALE
    assert finished.heard_ms == len(words) * WORD_MS + 120


async def test_what_was_heard_is_exact_behind_the_seam(tale, voice):
    voice.breaks.append(Breaks(BROKE, at_word=20, said_ms=120))
    async with tale:
        tale.command(said.TextInput("a tale"))
        await tale.until_played(30 * WORD_MS)
        tale.command(said.Interrupt())
        finished = await tale.until(told.ReplyFinished)
    assert finished.heard_text.split() in (TALE.split()[:30], TALE.split()[:31])


async def test_a_voice_that_is_gone_for_a_moment_is_waited_for(tale, voice):
    voice.breaks.extend([Breaks(GONE, at_word=4), *[Breaks(GONE, at_word=-1)] * 9])
    async with tale:
        tale.command(said.TextInput("a tale"))
        finished = await tale.until(told.ReplyFinished, within_s=60)
    assert sounded(tale) == words_of(TALE)
    assert finished.heard_text == TALE
    assert not tale.ear.of(told.Error)


async def test_a_voice_that_stays_away_leaves_captions_soon(tale, voice):
    voice.breaks.extend([Breaks(GONE, at_word=4), *[Breaks(GONE, at_word=-1)] * 500])
    async with tale:
        tale.command(said.TextInput("a tale"))
        await tale.until_played(3 * WORD_MS)
        error = await tale.until(told.Error, within_s=4)
        assert tale.now_ms - tale.ear.last_frame_s * 1000 <= 4 * WORD_MS + 1600
        finished = await tale.until(told.ReplyFinished)
    assert (error.code, error.message) == ("tts.unavailable", "captions only: gone")
    assert "".join(message.text for message in tale.ear.of(told.ReplyText)) == TALE
    assert finished.heard_text == TALE
    assert len(voice.asked_for) <= 40


async def test_an_engine_that_breaks_twice_is_not_asked_a_third_time(tale, voice):
    voice.breaks.extend([Breaks(BROKE, at_word=0)] * 3)
    async with tale:
        tale.command(said.TextInput("a tale"))
        finished = await tale.until(told.ReplyFinished, within_s=60)
    assert len(voice.asked_for) == 2
    assert tale.ear.of(told.Error)[0].code == "tts.engine_failed"
    assert finished.heard_text == TALE


async def test_another_voice_speaks_on_and_the_client_is_told(tale, voice):
    other = SentenceVoice()
    tale.other_voices = (other,)
    voice.breaks.extend([Breaks(BROKE, at_word=20), Breaks(BROKE, at_word=6)])
    async with tale:
        tale.command(said.SetVoice("marie"))
        tale.command(said.TextInput("a tale"))
        finished = await tale.until(told.ReplyFinished, within_s=60)
    assert sounded(tale) == words_of(TALE)
    assert finished.heard_text == TALE
    assert (voice.asked_for, other.asked_for) == (["marie", "marie"], [""])
    (error,) = tale.ear.of(told.Error)
    assert (error.code, error.message) == ("tts.engine_failed", "another voice speaks on: it broke")


async def test_a_voice_that_there_is_not_is_not_asked_for_twice(tale, voice):
    voice.breaks.append(Breaks(InvalidRequest("tts.unknown_voice", "nobody"), at_word=0))
    async with tale:
        tale.command(said.TextInput("a tale"))
        await tale.until(told.ReplyFinished, within_s=60)
    assert len(voice.asked_for) == 1
    assert tale.ear.of(told.Error)[0].code == "tts.unknown_voice"


async def test_a_voice_that_hangs_is_given_up_while_the_listener_waits(tale, voice):
    voice.breaks.append(Breaks(at_word=10, stall_s=1000))
    async with tale:
        tale.command(said.TextInput("a tale"))
        finished = await tale.until(told.ReplyFinished, within_s=60)
    assert len(voice.asked_for) == 2
    assert sounded(tale) == words_of(TALE)
    assert finished.heard_text == TALE


async def test_an_interruption_ends_the_asking(tale, voice):
    voice.breaks.extend([Breaks(GONE, at_word=4), *[Breaks(GONE, at_word=-1)] * 500])
    async with tale:
        tale.command(said.TextInput("a tale"))
        await tale.until_played(4 * WORD_MS)
        tale.command(said.Interrupt())
        finished = await tale.until(told.ReplyFinished)
        asked = len(voice.asked_for)
        await tale.silence(3000)
        assert len(voice.asked_for) == asked
    assert finished.heard_text == "Once upon a time"
