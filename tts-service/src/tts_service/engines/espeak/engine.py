"""The engine `espeak`: eSpeak NG in a worker process (`tts-service/espeak-worker`, GPL-3.0-or-later)."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from service_kit.engines.info import EngineInfo

from tts_service.engine import PhraseRequest, Speech, Style, SynthesisConfig, Voice
from tts_service.engines.phrase_worker.client import PhraseWorker, PhraseWorkerOptions
from tts_service.settings import TtsSettings
from tts_service.synthesis.stream import ReplyLimits, StreamAdapter

# eSpeak's sample rate.
RATE_HZ = 22_050
WORKER = PhraseWorkerOptions(name="espeak worker", command=(sys.executable, "-m", "espeak_worker"), rate_hz=RATE_HZ)
_DEFAULT_WPM = 165
_MIN_WPM, _MAX_WPM = 80, 450

# The accents of each language, the default first: (eSpeak's voice name, display name).
_ACCENTS: dict[str, tuple[tuple[str, str], ...]] = {
    "en": (("en-us", "American English"), ("en-gb-x-rp", "British English")),
    "es": (("es", "Spanish of Spain"), ("es-419", "Spanish of Latin America")),
    "fr": (("fr", "French"),),
    "pt": (("pt-br", "Portuguese of Brazil"), ("pt", "Portuguese of Portugal")),
    "hi": (("hi", "Hindi"),),
    "de": (("de", "German"),),
    "nl": (("nl", "Dutch"),),
    "it": (("it", "Italian"),),
}
_SPEAKERS = (("", "plain"), ("+m3", "man"), ("+f3", "woman"))

VOICES = tuple(
    Voice(id=f"{accent}{variant}", name=f"{name}, {speaker}", languages=(language,))
    for language, accents in _ACCENTS.items()
    for accent, name in accents
    for variant, speaker in _SPEAKERS
)


class EspeakEngine:
    """A `PhraseEngine` over eSpeak NG's formant synthesis; 500 times faster than real time."""

    def __init__(self, worker: PhraseWorker) -> None:
        self._worker = worker
        self._info = EngineInfo(
            name="espeak",
            model="espeak-ng",
            version="",
            languages=tuple(_ACCENTS),
            sample_rate_hz=RATE_HZ,
            notes={"licence": "GPL-3.0-or-later, in a separate process", "quality": "formant synthesis"},
            style_fields=("pace", "warmth", "energy"),
        )

    @property
    def info(self) -> EngineInfo:
        return replace(self._info, version=self._worker.version)

    def voices(self) -> Sequence[Voice]:
        return VOICES

    @asynccontextmanager
    async def lifespan(self) -> AsyncGenerator[None]:
        async with self._worker.running():
            # The first phrase after a start took 50 ms, later ones 0.5 ms.
            await self._warm_up()
            yield

    @asynccontextmanager
    async def synthesize(self, phrase: PhraseRequest, config: SynthesisConfig) -> AsyncGenerator[AsyncIterator[Speech]]:
        request = {"text": phrase.text, "voice": config.voice.id, **prosody_parameters(config.style)}
        async with self._worker.speak(request) as job:
            yield job

    async def _warm_up(self) -> None:
        for accents in _ACCENTS.values():
            voice = next(voice for voice in VOICES if voice.id == accents[0][0])
            async with self.synthesize(PhraseRequest(0, "1"), SynthesisConfig(voice, voice.languages[0])) as speech:
                async for _ in speech:
                    pass


def prosody_parameters(style: Style) -> dict[str, object]:
    """Map a style to eSpeak's parameters: pace to the rate, energy to the pitch range, warmth to a lower pitch."""
    rate_wpm = min(max(round(_DEFAULT_WPM * style.pace), _MIN_WPM), _MAX_WPM)
    pitch = 50 if style.warmth is None else round(60 - 20 * style.warmth)
    pitch_range = 50 if style.energy is None else round(20 + 60 * style.energy)
    return {"rate_wpm": rate_wpm, "pitch": pitch, "range": pitch_range}


def espeak_engine(settings: TtsSettings) -> StreamAdapter:
    """Create the engine `espeak`."""
    return StreamAdapter(EspeakEngine(PhraseWorker(WORKER)), ReplyLimits.from_settings(settings))
