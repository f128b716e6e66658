"""What several engines can do as one, beside speaking: learn voices, and give their memory back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from service_kit.engines.memory import MeasuredEngine, MemoryKind, ParkableEngine
from service_kit.errors import NotFound, NotReady, Unsupported

from tts_service.engine import CloningEngine, Voice
from tts_service.routing.routed_engine import RoutedPhraseEngine
from tts_service.synthesis.stream import ReplyLimits, StreamAdapter
from tts_service.voices.catalogue import find_voice, local_voice_id, primary_language, qualify_voice


class RoutedStreamAdapter(StreamAdapter):
    """`PhraseSpeech` over several engines; voices are learned by the first that can."""

    def __init__(self, phrases: RoutedPhraseEngine, limits: ReplyLimits, engines: int) -> None:
        # Each engine that may be asked has the time that one alone would have.
        patient = replace(limits, engine_silent_s=limits.engine_silent_s * engines + 1)
        super().__init__(phrases, patient)
        self._routed_engine = phrases

    @property
    def routed_engine(self) -> RoutedPhraseEngine:
        """The engines behind it."""
        return self._routed_engine

    async def add_voice(self, name: str, reference_wav: bytes, reference_transcript: str, language: str) -> Voice:
        """Learn a voice: by the first engine that speaks the language and can."""
        code = primary_language(language)
        for engine, speech in self._routed_engine.available_adapters().items():
            if isinstance(speech, CloningEngine) and code in speech.info.languages:
                return qualify_voice(
                    await speech.add_voice(name, reference_wav, reference_transcript, language), engine
                )
        raise Unsupported("tts.cloning_unsupported", f"no engine here can learn a voice that speaks {language!r}")

    async def delete_voice(self, voice_id: str) -> None:
        """Forget a voice, by the engine that its id names, else by the first that has it."""
        named, _, _ = voice_id.rpartition(":")
        speeches = self._routed_engine.available_adapters()
        for engine, speech in speeches.items():
            if named == engine or any(voice.id == voice_id for voice in speech.voices()):
                if not isinstance(speech, CloningEngine):
                    raise Unsupported("tts.cloning_unsupported", f"{engine} cannot forget the voice {voice_id!r}")
                return await speech.delete_voice(local_voice_id(voice_id))
        if find_voice(self.voices(), voice_id) is not None:
            raise NotReady("tts.no_engine", f"the engine of the voice {voice_id!r} is lost")
        raise NotFound("tts.unknown_voice", f"no voice {voice_id!r} was added")

    async def memory(self) -> Mapping[MemoryKind, int]:
        """Bytes by kind that all engines hold on the GPU."""
        held: Counter[MemoryKind] = Counter()
        for speech in self._routed_engine.available_adapters().values():
            if isinstance(speech, MeasuredEngine):
                held.update(await speech.memory())
        return held

    @property
    def parked(self) -> bool:
        """Whether an engine gave its memory back; others speak for it meanwhile."""
        return any(engine.parked for engine in self._parkable_engines())

    async def park(self) -> None:
        """Have every engine that can give its memory back. Raises `Unsupported` when none can."""
        if not self._parkable_engines():
            raise Unsupported("engine.not_parkable", "no engine here holds memory that it could give back")
        for engine in self._parkable_engines():
            if not engine.parked:
                await engine.park()

    async def wake(self) -> None:
        """Have them take it again."""
        for engine in self._parkable_engines():
            if engine.parked:
                await engine.wake()

    def _parkable_engines(self) -> list[ParkableEngine]:
        speeches = self._routed_engine.available_adapters().values()
        return [speech for speech in speeches if isinstance(speech, ParkableEngine)]
