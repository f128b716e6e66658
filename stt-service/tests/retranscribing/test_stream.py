"""Partials, finals and what is believed of them, with a model that is told what to hear."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest
from service_kit.audio import AudioChunk
from stt_service.engine import Final, LanguageSource, Segment, TranscriptionConfig
from stt_service.retranscribing.finals_first import FinalsFirst
from stt_service.retranscribing.guards import believed, compression, looping, without_loops
from stt_service.retranscribing.recogniser import Reading
from stt_service.retranscribing.stream import Shared, retranscribing
from stt_service.retranscribing.utterance import Utterance
from stt_service.retranscribing.words import known_words, language_of, plain
from stt_service.settings import SttSettings


class Listener:
    """Answers with its readings, one after another."""

    def __init__(self, *readings: Reading) -> None:
        self._readings = iter(readings)
        self.heard: list[bool] = []

    async def recognise(self, pcm: bytes, language: str, *, final: bool) -> Reading:
        self.heard.append(final)
        return next(self._readings)


async def finals_of(listener: Listener, pieces: int, config: TranscriptionConfig | None = None) -> list[Final]:
    """What is heard of a segment of so many utterances, each of them full."""
    shared = Shared(listener, FinalsFirst(1), SttSettings(max_utterance_s=1.5))
    async with retranscribing(shared, config or TranscriptionConfig()) as stream:
        clock_ms = 0
        for _ in range(pieces):
            await stream.feed(AudioChunk(clock_ms, tone(1.0)), Segment(1, 0, clock_ms + 1000))
            await stream.feed(AudioChunk(clock_ms + 1000, bytes(9600)), Segment(1, 0, clock_ms + 1300))
            clock_ms += 1300
        await stream.flush(Segment(1, 0, clock_ms))
        await stream.finish()
        return [final async for final in only_finals(stream.transcripts())]


async def only_finals(transcripts: AsyncIterator[object]) -> AsyncIterator[Final]:
    async for transcript in transcripts:
        if isinstance(transcript, Final):
            yield transcript


def tone(seconds: float, amplitude: float = 0.3) -> bytes:
    """A voice, as far as loudness goes: a tone that comes and goes."""
    at = np.arange(int(seconds * 16_000)) / 16_000
    wave = amplitude * np.sin(2 * np.pi * 200 * at) * (np.sin(2 * np.pi * 3 * at) > -0.5)
    return (wave * 32767).astype("<i2").tobytes()


async def test_a_segment_is_as_sure_as_its_least_sure_utterance() -> None:
    listener = Listener(Reading("the ferry", "en", 0.9), Reading("leaves at nine", "en", 0.6))
    *_, final = await finals_of(listener, 2)
    assert (final.text, final.confidence) == ("the ferry leaves at nine", 0.6)
    assert (final.language, final.language_source) == ("en", LanguageSource.ENGINE)


async def test_the_language_of_the_session_stands_before_what_the_model_heard() -> None:
    (final,) = await finals_of(Listener(Reading("the ferry", "en")), 1, TranscriptionConfig("nl"))
    assert (final.language, final.language_source) == ("nl", LanguageSource.CONFIG)


async def test_a_language_that_nothing_tells_is_unknown() -> None:
    (final,) = await finals_of(Listener(Reading("xylophone zebra")), 1)
    assert (final.language, final.language_source) == ("", LanguageSource.UNKNOWN)


async def test_what_is_not_believed_has_no_confidence() -> None:
    (final,) = await finals_of(Listener(Reading("Thanks for watching!", "en", 0.9)), 1)
    assert (final.text, final.confidence) == ("", None)


async def test_a_final_ends_a_partial_in_its_way_and_no_more() -> None:
    places = FinalsFirst(2)
    ended: list[str] = []
    first_final_done = asyncio.Event()

    async def show(name: str) -> None:
        try:
            async with places.partial() as granted:
                assert granted
                await asyncio.sleep(10)
        finally:
            ended.append(name)

    async with asyncio.TaskGroup() as tasks:
        older = tasks.create_task(show("older"))
        tasks.create_task(show("newer"))
        await asyncio.sleep(0)
        async with places.final():
            assert ended == ["newer"]
            async with places.partial() as granted:
                assert not granted
            first_final_done.set()
        older.cancel()
    assert ended == ["newer", "older"]


async def test_finals_wait_for_each_other_in_order() -> None:
    places = FinalsFirst(1)
    order: list[int] = []

    async def read(number: int) -> None:
        async with places.final():
            order.append(number)
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as tasks:
        for number in range(5):
            tasks.create_task(read(number))
    assert order == [0, 1, 2, 3, 4]


async def test_a_final_that_gives_up_leaves_its_place() -> None:
    places = FinalsFirst(1)

    async def wait() -> None:
        async with places.final():
            pass

    async with places.final():
        waiting = asyncio.create_task(wait())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait((waiting,))
    async with asyncio.timeout(1), places.final():
        pass


def test_a_pause_is_kept_but_shortened() -> None:
    utterance = Utterance()
    utterance.hear(AudioChunk(0, tone(1.0)))
    utterance.hear(AudioChunk(1200, tone(1.0)))
    assert utterance.ms == 2200
    utterance.hear(AudioChunk(9200, tone(1.0)))
    assert utterance.ms == 3500


def test_an_utterance_is_cut_where_it_is_quietest() -> None:
    utterance = Utterance()
    utterance.hear(AudioChunk(0, tone(2.0)))
    utterance.hear(AudioChunk(2000, tone(0.1) + bytes(3200) + tone(0.5)))
    whole = utterance.pcm
    rest = utterance.cut()
    assert utterance.pcm + rest.pcm == whole
    assert 0 < rest.ms < 3000
    assert utterance.pcm[-2:] == b"\x00\x00"


@pytest.mark.parametrize("amplitude", [3, 300, 3000])
def test_steady_noise_is_no_voice(amplitude: int) -> None:
    utterance = Utterance()
    noise = np.random.default_rng(1).standard_normal(32_000) * amplitude
    utterance.hear(AudioChunk(0, noise.astype("<i2").tobytes()))
    assert utterance.voiced_ms == 0
    utterance.hear(AudioChunk(2000, (noise[:8000].astype("<i2") + np.frombuffer(tone(0.5), "<i2")).tobytes()))
    assert utterance.voiced_ms > 150


def test_nothing_heard_is_no_voice() -> None:
    assert Utterance().voiced_ms == 0


@pytest.mark.parametrize(
    ("text", "once"),
    [
        ("so so so so so so so", "so"),
        ("no, no, no, no", "no, no, no, no"),
        ("the news is on the news is on the news is on the news is on", "the news is on"),
        ("Hahahahahahahahahahahahahaha", "Hahaha"),
        ("what is the latest on the ferry", "what is the latest on the ferry"),
        ("", ""),
    ],
)
def test_a_loop_is_gone_through_once(text: str, once: str) -> None:
    kept = without_loops(text)
    assert kept == once if not text.startswith("Ha") else len(kept) < 8


def test_a_loop_is_seen_while_it_goes_on() -> None:
    assert looping("yes " * 6)
    assert looping("on the ferry " * 4)
    assert not looping("on the ferry " * 3)
    assert not looping("one two three four five six seven")


@pytest.mark.parametrize(
    ("text", "language", "voiced_ms", "kept"),
    [
        ("Thanks for watching!", "en", 2000, ""),
        ("Untertitel der Amara.org-Community", "", 2000, ""),
        ("Untertitel der Amara.org-Community", "de", 2000, ""),
        ("Thank you.", "en", 200, ""),
        ("Thank you.", "en", 900, "Thank you."),
        ("Thank you.", "de", 200, "Thank you."),
        ("देखने के लिए धन्यवाद।", "hi", 2000, ""),
        ("  What is   the news? ", "en", 900, "What is the news?"),
        (", ".join(f"it is {n} it is {n} o'clock" for n in "123123123123"), "en", 9000, ""),
    ],
)
def test_what_nobody_said_is_left_out(text: str, language: str, voiced_ms: int, kept: str) -> None:
    assert believed(text, language, voiced_ms) == kept


def test_ordinary_text_does_not_look_compressed() -> None:
    assert compression("The harbour team won the football match on Saturday, and the ferry leaves at nine today.") < 2
    assert compression("short " * 3) == 1.0


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("What is the latest on the ferry?", "en"),
        ("¿Cuáles son las noticias de hoy?", "es"),
        ("Quelles sont les nouvelles d'aujourd'hui ?", "fr"),
        ("Quais são as notícias de hoje?", "pt"),
        ("आज की ताज़ा ख़बर क्या है?", "hi"),
        ("Was gibt es heute Neues über die Fähre?", "de"),
        ("Wat is er vandaag in het nieuws?", "nl"),
        ("Quali sono le notizie di oggi?", "it"),
        ("ferry", ""),
        ("", ""),
        ("東京", ""),
    ],
)
def test_the_language_is_told_by_its_commonest_words(text: str, language: str) -> None:
    assert language_of(text) == language


def test_every_phrase_is_written_as_it_is_compared() -> None:
    for lists in known_words().values():
        for phrase in lists.credits | lists.doubtful:
            assert plain(phrase) == phrase
