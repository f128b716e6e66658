"""Streamed speech of higgs: replies during which it cannot be parked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from service_kit.engines.memory import MemoryKind

from tts_service.engine import Emit, SynthesisConfig
from tts_service.synthesis.stream import CloningSpeech, PhraseReply, SpeakingLimits

if TYPE_CHECKING:
    from tts_service.engines.higgs.engine import HiggsEngine


class HiggsSpeech(CloningSpeech):
    """A `TtsEngine`, a `CloningEngine` and a `ParkableEngine`."""

    def __init__(self, engine: HiggsEngine, limits: SpeakingLimits) -> None:
        super().__init__(engine, limits)
        self._higgs = engine

    def open(self, config: SynthesisConfig) -> PhraseReply:
        self._higgs.check_awake()
        return HiggsReply(self._higgs, config, self._limits)

    @property
    def parked(self) -> bool:
        return self._higgs.parked

    async def memory(self) -> Mapping[MemoryKind, int]:
        return await self._higgs.memory()

    async def park(self) -> None:
        await self._higgs.park()

    async def wake(self) -> None:
        await self._higgs.wake()


class HiggsReply(PhraseReply):
    """One reply."""

    def __init__(self, engine: HiggsEngine, config: SynthesisConfig, limits: SpeakingLimits) -> None:
        super().__init__(engine, config, limits)
        self._higgs = engine

    async def speak(self, emit: Emit) -> None:
        with self._higgs.replying():
            await super().speak(emit)
