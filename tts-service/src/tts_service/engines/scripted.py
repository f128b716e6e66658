"""The engine `scripted`: plays a tone with the delays and faults of a script. For tests; never a default.

With a folder for voices it also clones them: a cloned voice speaks at the strongest frequency of its recording.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from service_kit.audio import SPEECH
from service_kit.engines.info import EngineInfo
from service_kit.engines.script import Fault, ScriptSection, load_section
from service_kit.errors import EngineFailed, InvalidRequest

from tts_service.engine import PhraseRequest, Samples, Speech, SynthesisConfig, Voice, VoiceConsent, Word
from tts_service.settings import TtsSettings
from tts_service.synthesis.stream import CloningStreamAdapter, ReplyLimits, StreamAdapter
from tts_service.text.normalisation import WordMarks, normalise_text
from tts_service.voices.catalogue import primary_language
from tts_service.voices.reference_audio import check_name, check_transcript, decode_reference
from tts_service.voices.voice_folder import VoiceFolder, read_codes, write_codes

LANGUAGES = ("en", "es", "fr", "pt", "hi", "de", "nl", "it")
# Longer than the output's first chunk plus its fade, so the first piece is sent immediately.
_CHUNK_MS = 80
# Long later pieces keep the cost of waiting between pieces low.
_LATER_CHUNK_MS = 240
_TONE_HZ = 220.0
_LOUDNESS = 0.25


class TtsScript(ScriptSection):
    """Section `[tts]` of the script. `fault_at` counts replies."""

    # Time from the reply's first phrase to its first audio, in milliseconds.
    first_audio_delay_ms: float = Field(default=120, ge=0)
    # Synthesis time per second of speech, in seconds.
    real_time_factor: float = Field(default=0.25, ge=0)
    # Duration of the speech of one character, in milliseconds.
    ms_per_character: float = Field(default=60, gt=0)
    # Folder for cloned voices; without it the engine cannot clone.
    voices: Path | None = None


class ScriptedEngine:
    """A `PhraseEngine` that plays a tone with exact delays."""

    def __init__(self, script: TtsScript) -> None:
        self._script = script
        self._reply_numbers = itertools.count(1)
        read = partial(read_codes, books=1, codes=SPEECH.rate_hz)
        self._cloned = VoiceFolder(script.voices, "`voices` in the section [tts] of the script", "pitch.npy", read)
        self._info = EngineInfo("scripted", "tone", "1", LANGUAGES, SPEECH.rate_hz, {"purpose": "tests only"})

    @property
    def info(self) -> EngineInfo:
        return self._info

    def voices(self) -> Sequence[Voice]:
        return (Voice("tone", "A tone", LANGUAGES), *self._cloned.voices())

    @asynccontextmanager
    async def lifespan(self) -> AsyncGenerator[None]:
        self._cloned.load()
        yield

    def cloning_languages(self) -> Sequence[str]:
        """All languages. Raises `Unsupported` without a folder for voices."""
        self._cloned.require_folder()
        return LANGUAGES

    async def add_voice(
        self,
        name: str,
        reference_wav: bytes,
        reference_transcript: str,
        language: str,
        consent: VoiceConsent | None = None,
    ) -> Voice:
        """Clone a voice: its conditioning is one frequency, in Hz."""
        self._cloned.require_folder()
        check_name(name)
        check_transcript(reference_transcript)
        code = primary_language(language)
        if code not in LANGUAGES:
            raise InvalidRequest("tts.unknown_language", f"no voice speaks {language!r}")
        pitch_hz = _strongest_hz(decode_reference(reference_wav, SPEECH.rate_hz))
        write = partial(write_codes, frames=np.array([[pitch_hz]]))
        return self._cloned.save_voice(name.strip(), code, reference_transcript.strip(), write, consent)

    async def delete_voice(self, voice_id: str) -> None:
        """Delete a cloned voice."""
        self._cloned.delete_voice(voice_id)

    @asynccontextmanager
    async def synthesize(self, phrase: PhraseRequest, config: SynthesisConfig) -> AsyncGenerator[AsyncIterator[Speech]]:
        fault = self._script.fault_of(next(self._reply_numbers)) if phrase.index == 0 else None
        delay_ms = self._script.first_audio_delay_ms if phrase.index == 0 else 0.0
        cloned = self._cloned.find_voice(config.voice.id)
        tone_hz = _TONE_HZ if cloned is None else float(cloned.conditioning[0, 0])
        async with aclosing(self._generate(phrase.text, delay_ms, fault, tone_hz)) as speech:
            yield speech

    async def _generate(
        self, text: str, delay_ms: float, fault: Fault | None, tone_hz: float
    ) -> AsyncGenerator[Speech]:
        loop = asyncio.get_running_loop()
        start_s = loop.time() + delay_ms / 1000
        await _sleep_until(start_s)
        match fault:
            case Fault.HANG:
                await asyncio.Event().wait()
            case Fault.DIE:
                os._exit(1)
            case Fault.ERROR:
                raise EngineFailed("tts.scripted_error", "the script asks for an error")
            case Fault.EMPTY:
                return
            case _:
                pass
        endless = fault is Fault.ENDLESS
        pieces = _garbage() if fault is Fault.GARBAGE else _tone(text, self._script, tone_hz, endless=endless)
        generated_ms = 0.0
        for piece in pieces:
            if isinstance(piece, Samples):
                await _sleep_until(start_s + generated_ms * self._script.real_time_factor / 1000)
                generated_ms += piece.samples.size * 1000 / SPEECH.rate_hz
            yield piece


def _tone(text: str, script: TtsScript, tone_hz: float, *, endless: bool) -> Iterator[Speech]:
    """A tone of the text's duration; each word comes before the chunk in which it starts."""
    per_character = script.ms_per_character * SPEECH.rate_hz / 1000
    total = max(round(len(text) * per_character), 1)
    marks = [
        Word(start, end - start, round(start * per_character))
        for start, end in WordMarks(normalise_text(text)).pop_remaining()
    ]
    chunk = SPEECH.rate_hz * _CHUNK_MS // 1000
    later = SPEECH.rate_hz * _LATER_CHUNK_MS // 1000
    for start in itertools.chain((0,), itertools.count(chunk, later)):
        if start >= total and not endless:
            return
        length = later if start else chunk
        end = start + length if endless else min(start + length, total)
        while marks and marks[0].first_sample < end:
            yield marks.pop(0)
        phase = np.arange(start, end, dtype=np.float64) * (2 * np.pi * tone_hz / SPEECH.rate_hz)
        yield Samples((_LOUDNESS * np.sin(phase)).astype(np.float32))


def _strongest_hz(samples: NDArray[np.float32]) -> int:
    spectrum = np.abs(np.fft.rfft(samples))
    return max(1, round(float(np.argmax(spectrum)) * SPEECH.rate_hz / samples.size))


def _garbage() -> Iterator[Speech]:
    """NaN samples, then endless samples far beyond full scale."""
    chunk = SPEECH.rate_hz * _CHUNK_MS // 1000
    yield Samples(np.full(7, np.nan, np.float32))
    while True:
        yield Samples(np.where(np.arange(chunk) % 50 < 25, 8.0, -8.0).astype(np.float32))


async def _sleep_until(due_s: float) -> None:
    """Sleep until `due_s` on the loop's clock. Errors do not add up, since all times count from the start."""
    delay_s = due_s - asyncio.get_running_loop().time()
    if delay_s > 0:
        await asyncio.sleep(delay_s)


def scripted_engine(settings: TtsSettings) -> StreamAdapter:
    """Create the engine `scripted` with the script of the settings."""
    script = load_section(settings.script, "tts", TtsScript)
    engine, limits = ScriptedEngine(script), ReplyLimits.from_settings(settings)
    return StreamAdapter(engine, limits) if script.voices is None else CloningStreamAdapter(engine, limits)
