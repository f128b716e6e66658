"""Real hibari-tts through its worker process."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from service_kit.errors import AtCapacity, EngineFailed, Unsupported
from tts_service.engine import PhraseRequest, Samples, Style, Word
from tts_service.engines.hibari.engine import RATE_HZ, VOICES, WORKER, HibariEngine
from tts_service.engines.phrase_worker.cache import PhraseCache
from tts_service.engines.phrase_worker.client import PhraseWorker
from tts_service.voices.catalogue import resolve_config

WITHIN_S = 60.0
SENTENCE = "Good evening, here is the news from the harbour town."
LONG = "This sentence goes on for a while, and then it ends. " * 30


@pytest.fixture
def worker() -> PhraseWorker:
    return PhraseWorker(replace(WORKER, hang_s=WITHIN_S, ready_s=WITHIN_S))


@pytest.fixture
async def engine(worker: PhraseWorker) -> AsyncIterator[HibariEngine]:
    engine = HibariEngine(worker, PhraseCache(0))
    async with engine.lifespan():
        yield engine


async def speak(engine: HibariEngine, text: str, **style: float) -> tuple[np.ndarray, list[Word]]:
    words: list[Word] = []
    sound: list[np.ndarray] = [np.zeros(0, np.float32)]
    config = resolve_config(VOICES, "", "en", Style(**style))
    async with asyncio.timeout(WITHIN_S), engine.synthesize(PhraseRequest(0, text), config) as speech:
        async for piece in speech:
            if isinstance(piece, Samples):
                # 200 ms: playout and cancelling go by pieces.
                assert piece.samples.size <= RATE_HZ / 5
                sound.append(piece.samples)
            else:
                # A word comes before its audio.
                assert piece.first_sample >= sum(map(len, sound))
                words.append(piece)
    return np.concatenate(sound), words


def active_level_db(sound: np.ndarray) -> float:
    """Level of the frames of 20 ms within 30 dB of the loudest, in dBFS."""
    frames = sound[: len(sound) // 480 * 480].reshape(-1, 480)
    power = np.mean(frames**2, axis=1)
    return float(10 * np.log10(np.mean(power[power > power.max() / 1000])))


async def test_sentence_has_sound_words_and_no_long_silence_around_it(engine: HibariEngine) -> None:
    sound, words = await speak(engine, SENTENCE)
    assert 2.5 < sound.size / RATE_HZ < 4.5
    assert [SENTENCE[word.first_char : word.first_char + word.chars] for word in words] == SENTENCE.split()
    places = [word.first_sample for word in words]
    assert places == sorted(places)
    assert places[-1] < sound.size
    loud = np.flatnonzero(np.abs(sound) > 10 ** (-45 / 20))
    assert loud[0] < 0.1 * RATE_HZ
    assert sound.size - loud[-1] < 0.4 * RATE_HZ


async def test_loudness_is_that_of_espeak_without_clipping(engine: HibariEngine) -> None:
    sound, _ = await speak(engine, LONG)
    # eSpeak's is -20.2 dBFS.
    assert -22.5 < active_level_db(sound) < -18.5
    assert np.abs(sound).max() < 0.9


async def test_every_sentence_of_a_phrase_is_spoken_in_place(engine: HibariEngine) -> None:
    text = "  Yes. Dr. Smith paid $3.50 at 7:30 pm!  Did he?\nHe did. "
    sound, words = await speak(engine, text)
    assert [text[word.first_char : word.first_char + word.chars] for word in words] == text.split()
    assert words[-2].first_sample > 0.5 * sound.size


async def test_pace_changes_the_duration(engine: HibariEngine) -> None:
    slow, _ = await speak(engine, SENTENCE, pace=0.7)
    fast, _ = await speak(engine, SENTENCE, pace=1.6)
    assert slow.size > 1.6 * fast.size


@pytest.mark.parametrize("text", ["中文", "नमस्ते", "..."])
async def test_phrase_without_a_sound_of_this_voice_is_refused(engine: HibariEngine, text: str) -> None:
    if text != "...":
        with pytest.raises(Unsupported) as refused:
            await speak(engine, text)
        assert refused.value.code == "tts.unspeakable"
    # The engine goes on.
    assert (await speak(engine, "Yes."))[0].size


async def test_characters_of_other_scripts_are_left_out(engine: HibariEngine) -> None:
    plain, _ = await speak(engine, "Hello there.")
    mixed, _ = await speak(engine, "Hello 中文 there.")
    assert mixed.size < 1.4 * plain.size


async def test_text_cannot_set_its_own_pronunciation(engine: HibariEngine) -> None:
    word, _ = await speak(engine, "[extraordinarily] yes")
    linked, _ = await speak(engine, "[extraordinarily](ˈa b) yes")
    assert linked.size >= word.size


@pytest.mark.parametrize("text", ["a" * 2000, "word " * 200, "1234567890 " * 12, "!?" * 500 + " yes"])
async def test_very_long_phrase_is_spoken_whole(engine: HibariEngine, text: str) -> None:
    sound, _ = await speak(engine, text)
    assert np.isfinite(sound).all()
    assert sound.size > 0.3 * RATE_HZ


async def test_same_phrase_sounds_the_same_each_time(engine: HibariEngine) -> None:
    first, _ = await speak(engine, SENTENCE)
    second, _ = await speak(engine, SENTENCE)
    np.testing.assert_array_equal(first, second)


async def test_second_saying_comes_from_the_cache(worker: PhraseWorker) -> None:
    engine = HibariEngine(worker, PhraseCache(4 << 20))
    async with engine.lifespan():
        first, words = await speak(engine, SENTENCE)
        pid = worker.pid
        assert pid is not None
        # A stopped worker speaks nothing.
        os.kill(pid, signal.SIGSTOP)
        second, again = await speak(engine, SENTENCE)
        os.kill(pid, signal.SIGCONT)
        slower, _ = await speak(engine, SENTENCE, pace=0.8)
    np.testing.assert_allclose(first, second, atol=1e-4)
    assert words == again
    assert slower.size > first.size


async def test_cancelled_phrase_stops_and_leaks_nothing_into_the_next(engine: HibariEngine) -> None:
    clean, _ = await speak(engine, "Short and clean.")
    config = resolve_config(VOICES, "", "en", Style())
    loop = asyncio.get_running_loop()
    started_s = loop.time()
    await speak(engine, LONG)
    whole_s = loop.time() - started_s
    async with engine.synthesize(PhraseRequest(0, LONG * 10), config) as speech:
        await anext(speech)
        stopped_s = loop.time()
    after, words = await speak(engine, "Short and clean.")
    # The rest of the cancelled phrase would take ten times as long as `LONG`.
    assert loop.time() - stopped_s < max(2 * whole_s, 1.0)
    np.testing.assert_array_equal(after, clean)
    assert len(words) == 3


async def test_concurrent_phrases_do_not_mix(engine: HibariEngine) -> None:
    texts = (SENTENCE, "Yes.", "The ferry leaves at noon.", "Yes.")
    alone = [(await speak(engine, text))[0] for text in texts]
    together = await asyncio.gather(*(speak(engine, text) for text in texts))
    for expected, (sound, _) in zip(alone, together, strict=True):
        np.testing.assert_array_equal(sound, expected)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
async def test_dead_or_hung_worker_fails_its_phrase_and_is_replaced(number: signal.Signals) -> None:
    worker = PhraseWorker(replace(WORKER, ready_s=WITHIN_S))
    engine = HibariEngine(worker, PhraseCache(0))
    async with engine.lifespan():
        pid = worker.pid
        assert pid is not None
        os.kill(pid, number)
        with pytest.raises(EngineFailed, match="died"):
            await speak(engine, SENTENCE)
        assert (await speak(engine, "Back again."))[0].size > RATE_HZ / 4
        assert worker.pid != pid


async def test_more_phrases_than_allowed_are_refused(worker: PhraseWorker) -> None:
    bounded = HibariEngine(PhraseWorker(replace(WORKER, max_jobs=1)), PhraseCache(0))
    config = resolve_config(VOICES, "", "en", Style())
    async with bounded.lifespan(), bounded.synthesize(PhraseRequest(0, LONG), config):
        with pytest.raises(AtCapacity):
            await speak(bounded, "Yes.")


def read_process(pid: int | None) -> tuple[str, bytes]:
    """The status and the environment of a process."""
    return Path(f"/proc/{pid}/status").read_text("ascii"), Path(f"/proc/{pid}/environ").read_bytes()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_worker_has_no_sockets_and_an_empty_environment(engine: HibariEngine, worker: PhraseWorker) -> None:
    status, environment = read_process(worker.pid)
    assert worker.isolated
    assert engine.info.notes["sockets"] == "refused by the kernel"
    # 2: a filter is installed.
    assert "Seccomp:\t2\n" in status
    assert {entry.split(b"=")[0] for entry in environment.split(b"\0") if entry} == set(
        map(str.encode, WORKER.environment or {})
    )
