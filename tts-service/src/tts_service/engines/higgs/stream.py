"""The stream adapter of higgs: adds parking, which waits for open replies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from service_kit.engines.memory import MemoryKind

from tts_service.engine import Emit, SynthesisConfig
from tts_service.synthesis.stream import CloningStreamAdapter, PhraseReplyStream, ReplyLimits

if TYPE_CHECKING:
    from tts_service.engines.higgs.engine import HiggsEngine


class HiggsStreamAdapter(CloningStreamAdapter):
    """A `TtsEngine`, `CloningEngine` and `ParkableEngine`. Opening a stream raises `NotReady` while parked."""

    def __init__(self, engine: HiggsEngine, limits: ReplyLimits) -> None:
        super().__init__(engine, limits)
        self._higgs = engine

    def open_stream(self, config: SynthesisConfig) -> PhraseReplyStream:
        self._higgs.check_awake()
        return HiggsReplyStream(self._higgs, config, self._limits)

    @property
    def parked(self) -> bool:
        return self._higgs.parked

    async def memory(self) -> Mapping[MemoryKind, int]:
        return await self._higgs.memory()

    async def park(self) -> None:
        await self._higgs.park()

    async def wake(self) -> None:
        await self._higgs.wake()


class HiggsReplyStream(PhraseReplyStream):
    """The stream of one reply; blocks parking while it runs."""

    def __init__(self, engine: HiggsEngine, config: SynthesisConfig, limits: ReplyLimits) -> None:
        super().__init__(engine, config, limits)
        self._higgs = engine

    async def run(self, emit: Emit) -> None:
        with self._higgs.block_parking():
            await super().run(emit)
