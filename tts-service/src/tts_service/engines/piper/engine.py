"""The engine `piper`: uses Piper (GPL-3.0-or-later) through its HTTP server; imports nothing of it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager

from service_kit.audio import SPEECH
from service_kit.engines.info import EngineInfo
from service_kit.errors import EngineFailed, PeerFailed

from tts_service.engine import PhraseRequest, Samples, Speech, SynthesisConfig, Voice
from tts_service.engines.piper.client import Floats, PiperClient, PiperVoice
from tts_service.settings import TtsSettings
from tts_service.synthesis.speech_output import resample_speech
from tts_service.synthesis.stream import ReplyLimits, StreamAdapter

# Timeout of the voice list.
LIST_TIMEOUT_S = 5.0
# Timeout of a voice's first phrase, which loads the voice.
LOAD_TIMEOUT_S = 60.0
# Speech is resampled in pieces of this length, in s; other tasks run between them.
_PIECE_S = 0.25


class PiperEngine:
    """A `ServerBackedEngine`. The server synthesises a whole phrase before its first audio."""

    def __init__(self, settings: TtsSettings) -> None:
        self._settings = settings
        self._client: PiperClient | None = None
        self._voices: dict[str, PiperVoice] = {}

    @property
    def info(self) -> EngineInfo:
        return EngineInfo(
            name="piper",
            model="piper",
            version="http",
            languages=tuple(dict.fromkeys(voice.language for voice in self._voices.values())),
            sample_rate_hz=SPEECH.rate_hz,
            notes={"licence": "GPL-3.0-or-later, in a separate server; each voice has its own licence"},
            style_fields=("pace",),
        )

    def voices(self) -> Sequence[Voice]:
        return [Voice(name, _title(name), (voice.language,)) for name, voice in self._voices.items()]

    @asynccontextmanager
    async def lifespan(self) -> AsyncGenerator[None]:
        """List the voices, and load the preferred ones. Raises `PeerFailed` without a server."""
        settings = self._settings
        self._client = PiperClient(settings.piper_url, settings.piper_connect_s, settings.piper_places)
        try:
            await self.check_server()
            for name in set(settings.piper_voices).intersection(self._voices):
                await self._open_client.synthesize(self._voices[name], "1", 1.0, LOAD_TIMEOUT_S)
            yield
        finally:
            await self._client.aclose()

    async def check_server(self) -> None:
        """Update the list of voices. Raises `PeerFailed` when the server is unreachable or has no voice."""
        voices = {voice.name: voice for voice in await self._open_client.list_voices(LIST_TIMEOUT_S)}
        if not voices:
            raise PeerFailed("tts.model_missing", "the speech server has no voice with a Piper voice name")
        preferred = [name for name in self._settings.piper_voices if name in voices]
        self._voices = {name: voices[name] for name in dict.fromkeys((*preferred, *sorted(voices)))}

    @asynccontextmanager
    async def synthesize(self, phrase: PhraseRequest, config: SynthesisConfig) -> AsyncGenerator[AsyncIterator[Speech]]:
        async with aclosing(self._generate(phrase.text, config)) as speech:
            yield speech

    async def _generate(self, text: str, config: SynthesisConfig) -> AsyncGenerator[Speech]:
        voice = self._voices.get(config.voice.id)
        if voice is None:
            raise EngineFailed("tts.voice_lost", f"the speech server no longer has the voice {config.voice.id!r}")
        rate_hz, samples = await self._open_client.synthesize(
            voice, text, config.style.pace, self._settings.piper_phrase_s
        )
        async with aclosing(resample_speech(_split_samples(samples, rate_hz), rate_hz, SPEECH.rate_hz)) as speech:
            async for piece in speech:
                yield piece

    @property
    def _open_client(self) -> PiperClient:
        assert self._client is not None, "used outside its lifespan"  # noqa: S101
        return self._client


async def _split_samples(samples: Floats, rate_hz: int) -> AsyncGenerator[Speech]:
    length = int(rate_hz * _PIECE_S)
    for start in range(0, samples.size, length):
        yield Samples(samples[start : start + length])


def _title(name: str) -> str:
    """`Rohan, hi_IN, medium` of `hi_IN-rohan-medium`."""
    language, speaker, quality = name.split("-")
    return f"{speaker.replace('_', ' ').title()}, {language}, {quality}"


def piper_engine(settings: TtsSettings) -> StreamAdapter:
    """Create the engine `piper`."""
    return StreamAdapter(PiperEngine(settings), ReplyLimits.from_settings(settings))
