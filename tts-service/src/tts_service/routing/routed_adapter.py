"""The stream adapter over several engines: also cloning, and parking of GPU memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from service_kit.engines.memory import MeasuredEngine, MemoryKind, ParkableEngine
from service_kit.errors import NotFound, NotReady, Unsupported

from tts_service.engine import CloningEngine, Voice, VoiceConsent, cloning_unsupported
from tts_service.routing.routed_engine import RoutedPhraseEngine
from tts_service.synthesis.stream import ReplyLimits, StreamAdapter
from tts_service.voices.catalogue import find_voice, local_voice_id, primary_language, qualify_voice


class RoutedStreamAdapter(StreamAdapter):
    """A `StreamAdapter` over several engines; the first engine that can clone a voice does.

    A `CloningEngine` and a `ParkableEngine`.
    """

    def __init__(self, routed_engine: RoutedPhraseEngine, limits: ReplyLimits, engines: int) -> None:
        # Each of the `engines` may use up its own timeout in turn.
        super().__init__(routed_engine, replace(limits, engine_silent_s=limits.engine_silent_s * engines + 1))
        self._routed_engine = routed_engine

    @property
    def routed_engine(self) -> RoutedPhraseEngine:
        """The wrapped engines."""
        return self._routed_engine

    def cloning_languages(self) -> Sequence[str]:
        """The languages of all engines that can clone voices."""
        adapters = self._routed_engine.available_adapters().values()
        cloning = [adapter for adapter in adapters if isinstance(adapter, CloningEngine)]
        languages: dict[str, None] = {}
        refusal = cloning_unsupported(self.info.name)
        for adapter in cloning:
            try:
                languages |= dict.fromkeys(adapter.cloning_languages())
            except Unsupported as error:
                refusal = error
        if not languages:
            raise refusal
        return tuple(languages)

    async def add_voice(
        self,
        name: str,
        reference_wav: bytes,
        reference_transcript: str,
        language: str,
        consent: VoiceConsent | None = None,
    ) -> Voice:
        """Clone a voice with the first engine that speaks the language and can clone."""
        code = primary_language(language)
        for engine, adapter in self._routed_engine.available_adapters().items():
            if isinstance(adapter, CloningEngine) and code in adapter.info.languages:
                voice = await adapter.add_voice(name, reference_wav, reference_transcript, language, consent)
                return qualify_voice(voice, engine)
        known = ", ".join(self.cloning_languages())
        raise Unsupported(
            "tts.cloning_unsupported",
            f"no engine here can clone a voice for language {language!r}; voices can be added for {known}",
        )

    async def delete_voice(self, voice_id: str) -> None:
        """Delete a cloned voice from the engine that its id names, else from the first engine that has it."""
        named_engine, _, _ = voice_id.rpartition(":")
        for engine, adapter in self._routed_engine.available_adapters().items():
            if named_engine == engine or any(voice.id == voice_id for voice in adapter.voices()):
                if not isinstance(adapter, CloningEngine):
                    raise Unsupported("tts.cloning_unsupported", f"{engine} cannot delete the voice {voice_id!r}")
                return await adapter.delete_voice(local_voice_id(voice_id))
        if find_voice(self.voices(), voice_id) is not None:
            raise NotReady("tts.no_engine", f"the engine of the voice {voice_id!r} is lost; retry later")
        raise NotFound("tts.unknown_voice", f"no cloned voice {voice_id!r}")

    async def memory(self) -> Mapping[MemoryKind, int]:
        """GPU memory of all engines together, in bytes by kind."""
        held: Counter[MemoryKind] = Counter()
        for adapter in self._routed_engine.available_adapters().values():
            if isinstance(adapter, MeasuredEngine):
                held.update(await adapter.memory())
        return held

    @property
    def parked(self) -> bool:
        """Whether an engine is parked; other engines speak in its place."""
        return any(engine.parked for engine in self._parkable_engines())

    async def park(self) -> None:
        """Park every parkable engine. Raises `Unsupported` when there is none."""
        if not self._parkable_engines():
            raise Unsupported("engine.not_parkable", "no engine here holds memory that it can release")
        for engine in self._parkable_engines():
            if not engine.parked:
                await engine.park()

    async def wake(self) -> None:
        """Wake every parked engine."""
        for engine in self._parkable_engines():
            if engine.parked:
                await engine.wake()

    def _parkable_engines(self) -> list[ParkableEngine]:
        adapters = self._routed_engine.available_adapters().values()
        return [adapter for adapter in adapters if isinstance(adapter, ParkableEngine)]
