"""Real eSpeak NG through its worker process."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from service_kit.errors import EngineFailed
from tts_service.engine import PhraseRequest, Samples, Style, SynthesisConfig, Voice, Word
from tts_service.engines.espeak.engine import RATE_HZ, VOICES, WORKER, EspeakEngine, prosody_parameters
from tts_service.engines.phrase_worker.client import MAX_WAITING_PIECES, Job, PhraseWorker
from tts_service.voices.catalogue import resolve_config

SENTENCES = {
    "en": "Good evening, here is the news.",
    "es": "Buenas noches, estas son las noticias.",
    "fr": "Bonsoir, voici les nouvelles du soir.",
    "pt": "Boa noite, estas são as notícias.",
    "hi": "नमस्ते, आज का मौसम अच्छा है।",
    "de": "Guten Abend, hier sind die Nachrichten.",
    "nl": "Goedenavond, hier is het nieuws.",
    "it": "Buonasera, ecco le notizie di oggi.",
}
LONG = "this goes on and on for a very long time indeed " * 40


@pytest.fixture
def worker() -> PhraseWorker:
    return PhraseWorker(replace(WORKER, hang_s=2.0))


@pytest.fixture
async def engine(worker: PhraseWorker) -> AsyncIterator[EspeakEngine]:
    engine = EspeakEngine(worker)
    async with engine.lifespan():
        yield engine


async def speak(engine: EspeakEngine, text: str, language: str = "en", **style: float) -> tuple[np.ndarray, list[Word]]:
    words: list[Word] = []
    sound: list[np.ndarray] = [np.zeros(0, np.float32)]
    async with engine.synthesize(
        PhraseRequest(0, text), resolve_config(VOICES, "", language, Style(**style))
    ) as speech:
        async for piece in speech:
            if isinstance(piece, Samples):
                sound.append(piece.samples)
            else:
                # A word comes before its audio.
                assert piece.first_sample >= sum(map(len, sound))
                words.append(piece)
    return np.concatenate(sound), words


async def test_every_language_has_audible_speech_of_plausible_length(engine: EspeakEngine) -> None:
    for language, sentence in SENTENCES.items():
        sound, words = await speak(engine, sentence, language)
        assert 1.2 < sound.size / RATE_HZ < 4.5, language
        assert np.sqrt(np.mean(sound**2)) > 0.03, language
        assert len(words) >= 4, language
        assert sentence[words[0].first_char :].startswith(sentence.split()[0]), language
        places = [word.first_sample for word in words]
        assert places == sorted(places), language
        assert places[-1] < sound.size, language


async def test_every_listed_voice_speaks(engine: EspeakEngine) -> None:
    for voice in VOICES:
        async with engine.synthesize(PhraseRequest(0, "1 2 3"), SynthesisConfig(voice, voice.languages[0])) as speech:
            loudest = [float(np.abs(piece.samples).max()) async for piece in speech if isinstance(piece, Samples)]
        assert max(loudest) > 0.05, voice.id


async def test_pace_changes_the_duration(engine: EspeakEngine) -> None:
    slow, _ = await speak(engine, SENTENCES["en"], pace=0.7)
    fast, _ = await speak(engine, SENTENCES["en"], pace=1.6)
    assert slow.size > 1.7 * fast.size


def test_style_maps_to_rate_pitch_and_range() -> None:
    assert prosody_parameters(Style()) == {"rate_wpm": 165, "pitch": 50, "range": 50}
    assert prosody_parameters(Style(pace=0.5, warmth=1, energy=1)) == {"rate_wpm": 82, "pitch": 40, "range": 80}


async def test_unknown_voice_fails_only_its_phrase(engine: EspeakEngine) -> None:
    with pytest.raises(EngineFailed, match="no voice"):
        async with engine.synthesize(PhraseRequest(0, "x"), SynthesisConfig(Voice("zz", "", ("en",)), "en")) as speech:
            await anext(speech)
    assert (await speak(engine, "All is well."))[0].size > 0


async def test_cancelled_phrase_stops_and_leaks_nothing_into_the_next(engine: EspeakEngine) -> None:
    clean, _ = await speak(engine, "Short and clean.")
    async with engine.synthesize(PhraseRequest(0, LONG * 40), resolve_config(VOICES, "", "en", Style())) as speech:
        await anext(speech)
    # The whole phrase would take longer.
    async with asyncio.timeout(5):
        after, words = await speak(engine, "Short and clean.")
    # eSpeak adds random noise, so the test compares durations, not samples.
    assert abs(after.size - clean.size) < 0.05 * RATE_HZ
    assert len(words) == 3


async def test_concurrent_phrases_do_not_mix(engine: EspeakEngine) -> None:
    alone = {language: (await speak(engine, sentence, language))[0].size for language, sentence in SENTENCES.items()}
    together = await asyncio.gather(*(speak(engine, sentence, language) for language, sentence in SENTENCES.items()))
    for language, (sound, _) in zip(SENTENCES, together, strict=True):
        assert abs(sound.size - alone[language]) < 0.05 * RATE_HZ, language


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
async def test_dead_or_hung_worker_fails_its_phrase_and_is_replaced(
    engine: EspeakEngine, worker: PhraseWorker, number: signal.Signals
) -> None:
    pid = worker.pid
    assert pid is not None
    os.kill(pid, number)
    with pytest.raises(EngineFailed, match="died"):
        await speak(engine, LONG)
    assert (await speak(engine, "Back again."))[0].size > RATE_HZ / 4
    assert worker.pid != pid


@pytest.mark.parametrize(
    ("program", "code"),
    [
        ("pass", "tts.worker_unavailable"),
        ("import sys; sys.stdout.buffer.write(b'\\xff' * 64); sys.stdout.flush()", "tts.worker_garbled"),
        (
            "import sys, struct; sys.stdout.buffer.write(struct.pack('<BII', 1, 0, 14) + b'{\"protocol\":9}');"
            "sys.stdout.flush()",
            "tts.worker_protocol",
        ),
        (
            'import sys, struct; hello = b\'{"protocol":2, "rate_hz":16000, "version":"0"}\';'
            "sys.stdout.buffer.write(struct.pack('<BII', 1, 0, len(hello)) + hello); sys.stdout.flush()",
            "tts.worker_rate",
        ),
    ],
)
async def test_worker_without_a_valid_hello_fails_the_start(program: str, code: str) -> None:
    with pytest.raises(EngineFailed) as failure:
        async with PhraseWorker(replace(WORKER, command=(sys.executable, "-c", program))).running():
            pass
    assert failure.value.code == code


@pytest.mark.parametrize(("kind", "payload"), [(5, b"odd"), (4, b"short")])
async def test_worker_that_sends_invalid_frames_is_replaced(kind: int, payload: bytes) -> None:
    program = (
        "import sys, struct\n"
        "def send(kind, job, payload):\n"
        "    sys.stdout.buffer.write(struct.pack('<BII', kind, job, len(payload)) + payload); sys.stdout.flush()\n"
        f'send(1, 0, b\'{{"protocol":2, "rate_hz":{RATE_HZ}, "version":"0"}}\')\n'
        "sys.stdin.buffer.read(9)\n"
        f"send({kind}, 1, {payload!r})\n"
        "sys.stdin.buffer.read()"
    )
    worker = PhraseWorker(replace(WORKER, command=(sys.executable, "-c", program)))
    async with worker.running(), asyncio.timeout(20):
        pid = worker.pid
        with pytest.raises(EngineFailed):
            async with worker.speak({"text": "x"}) as job:
                await anext(job)
        while worker.pid in (None, pid):
            await asyncio.sleep(0.01)


def test_service_never_imports_the_gpl_worker() -> None:
    sources = Path(__file__).parents[3] / "src"
    imports = re.compile(r"^\s*(import|from)\s+espeak(_worker|ng_loader)|import_module\(.espeak", re.MULTILINE)
    files = list(sources.rglob("*.py"))
    assert len(files) > 10
    assert imports.search("    from espeak_worker import frames")
    assert [path for path in files if imports.search(path.read_text("utf-8"))] == []


async def test_unread_phrase_has_a_bounded_queue() -> None:
    job = Job(1)
    piece = Samples(np.zeros(1, np.float32))
    assert all(job.add_piece(piece) for _ in range(MAX_WAITING_PIECES))
    assert not job.add_piece(piece)
    for _ in range(MAX_WAITING_PIECES):
        await anext(job)
    with pytest.raises(EngineFailed, match="without end"):
        await anext(job)
