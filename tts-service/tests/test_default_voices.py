"""The default plan with its real engines: English by hibari, the rest by eSpeak, and eSpeak where hibari fails."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, cast

import pytest
from tts_service.app import build_engine
from tts_service.engine import SpeechAudio, SpeechEvent, Style
from tts_service.engines.hibari import engine as hibari
from tts_service.engines.hibari.engine import HibariEngine
from tts_service.engines.phrase_worker.client import PhraseWorker
from tts_service.metrics import FALLBACK_PHRASES
from tts_service.routing.routed_adapter import RoutedStreamAdapter
from tts_service.settings import TtsSettings
from tts_service.voices.catalogue import resolve_config

WITHIN_S = 60.0
SENTENCE = "Good evening, here is the news from the harbour."


@asynccontextmanager
async def default_engine(**settings: object) -> AsyncIterator[RoutedStreamAdapter]:
    options = TtsSettings(**{"models": "default", "kokoro": "off", "phrase_cache_mib": 0, **settings})  # type: ignore[arg-type]
    engine = cast(RoutedStreamAdapter, build_engine(options))
    async with asyncio.timeout(WITHIN_S), engine.lifespan():
        yield engine


async def speak(engine: RoutedStreamAdapter, text: str, language: str = "en", voice: str = "") -> list[SpeechAudio]:
    events: list[SpeechEvent] = []

    async def emit(event: SpeechEvent) -> None:
        events.append(event)

    stream = engine.open_stream(resolve_config(engine.voices(), voice, language, Style()))
    await stream.send_text(text)
    await stream.end_text()
    async with asyncio.timeout(WITHIN_S):
        await stream.run(emit)
    return [event for event in events if isinstance(event, SpeechAudio)]


def worker_of(engine: RoutedStreamAdapter) -> PhraseWorker:
    adapter = engine.routed_engine.available_adapters()["hibari"]
    return cast(Any, cast(HibariEngine, adapter.phrase_engine))._worker


def fallbacks(name: str) -> float:
    """Phrases that the engine left to the next one so far."""
    return FALLBACK_PHRASES.labels(name)._value.get()


async def test_each_language_has_its_default_voice_and_espeak_stays_selectable() -> None:
    async with default_engine() as engine:
        voices = engine.voices()
        assert resolve_config(voices, "", "en", Style()).voice.id == "hibari:heart"
        for language in ("es", "fr", "it", "pt", "hi", "de", "nl"):
            assert resolve_config(voices, "", language, Style()).voice.engine == "espeak"
        for named in ("en-us+f3", "espeak:en-us+f3"):
            assert resolve_config(voices, named, "en", Style()).voice.id == "espeak:en-us+f3"
        assert engine.routed_engine.unavailability_reason() == ""
        before = fallbacks("hibari")
        assert await speak(engine, SENTENCE)
        assert await speak(engine, SENTENCE, voice="en-us+f3")
        assert await speak(engine, "Guten Abend.", "de")
        assert fallbacks("hibari") == before


async def test_phrase_in_another_script_is_left_to_espeak_and_hibari_goes_on() -> None:
    async with default_engine() as engine:
        before = fallbacks("hibari")
        assert await speak(engine, "中文。")
        assert fallbacks("hibari") == before + 1
        assert await speak(engine, SENTENCE)
        assert fallbacks("hibari") == before + 1


async def test_reply_goes_on_with_espeak_when_the_worker_dies_and_hibari_returns() -> None:
    async with default_engine() as engine:
        worker = worker_of(engine)
        pid = worker.pid
        assert pid is not None
        whole = sum(len(piece.pcm) for piece in await speak(engine, "Here is the first sentence of them."))
        stream = engine.open_stream(resolve_config(engine.voices(), "", "en", Style()))
        first = asyncio.Event()
        sent: list[int] = []

        async def emit(event: SpeechEvent) -> None:
            if isinstance(event, SpeechAudio):
                sent.append(len(event.pcm))
                if sum(sent) >= whole:
                    first.set()

        before = fallbacks("hibari")
        run = asyncio.create_task(stream.run(emit))
        await stream.send_text("Here is the first sentence of them. ")
        await first.wait()
        os.kill(pid, signal.SIGKILL)
        while worker.pid == pid:
            await asyncio.sleep(0.005)
        await stream.send_text("And here is the second one.")
        await stream.end_text()
        await run
        assert fallbacks("hibari") == before + 1
        # The cool-down prefers eSpeak for a while; the engine itself is back.
        while worker.pid in (None, pid):
            await asyncio.sleep(0.01)
        assert engine.routed_engine.unavailability_reason() == ""


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("import sys; sys.exit(3)", "exited before its handshake"),
        ("import sys; sys.stdout.buffer.write(b'\\xff' * 64); sys.stdout.flush()", "kind 255"),
        (
            "import struct, sys; said = b'the files are damaged'\n"
            "sys.stdout.buffer.write(struct.pack('<BII', 7, 0, len(said)) + said); sys.stdout.flush()",
            "the files are damaged",
        ),
    ],
)
async def test_english_is_spoken_by_espeak_where_hibari_cannot_load(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, program: str, words: str
) -> None:
    monkeypatch.setattr(hibari, "WORKER", replace(hibari.WORKER, command=(sys.executable, "-c", program)))
    async with default_engine() as engine:
        assert words in engine.routed_engine.unavailability_reason()
        assert await speak(engine, SENTENCE)
        assert await speak(engine, SENTENCE)
    said = [record for record in caplog.records if record.message == "engine unavailable"]
    assert len(said) == 1


async def test_a_worker_that_dies_for_good_is_shown_as_degraded(monkeypatch: pytest.MonkeyPatch) -> None:
    async with default_engine() as engine:
        worker = worker_of(engine)
        options = cast(Any, worker)._process._options
        monkeypatch.setattr(
            cast(Any, worker)._process, "_options", replace(options, command=("/bin/false",), restart_delays_s=(0.01,))
        )
        monkeypatch.setattr(hibari, "WORKER", replace(hibari.WORKER, command=("/bin/false",)))
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGKILL)
        while "hibari" in engine.routed_engine.available_adapters():
            await asyncio.sleep(0.01)
        assert "hibari" in engine.routed_engine.unavailability_reason()
        assert await speak(engine, SENTENCE)


async def test_two_replies_at_once_are_both_spoken_whole() -> None:
    async with default_engine() as engine:
        alone = [sum(len(piece.pcm) for piece in await speak(engine, text)) for text in (SENTENCE, SENTENCE * 2)]
        together = await asyncio.gather(speak(engine, SENTENCE), speak(engine, SENTENCE * 2))
        assert [sum(len(piece.pcm) for piece in audio) for audio in together] == alone


async def test_a_reply_that_is_cancelled_sends_nothing_more() -> None:
    async with default_engine() as engine:
        sent: list[float] = []
        loop = asyncio.get_running_loop()
        started = asyncio.Event()

        async def emit(event: SpeechEvent) -> None:
            if isinstance(event, SpeechAudio):
                sent.append(loop.time())
                started.set()
            await asyncio.sleep(0)

        stream = engine.open_stream(resolve_config(engine.voices(), "", "en", Style()))
        run = asyncio.create_task(stream.run(emit))
        await stream.send_text(f"{SENTENCE} " * 20)
        await started.wait()
        cancelled_s = loop.time()
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        assert max(sent) <= cancelled_s + 0.06
        assert await speak(engine, "Yes.")
