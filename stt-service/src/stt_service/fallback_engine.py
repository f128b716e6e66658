"""Who hears where the settings name nobody: the profile's engine, and another one where it cannot be loaded."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from service_kit.engines.info import EngineInfo
from service_kit.errors import EngineFailed, InvalidRequest
from service_kit.settings import Profile

from stt_service.engine import SttEngine, SttStream, TranscriptionConfig

log = logging.getLogger(__name__)

# Comes with every installation, and needs nothing.
STAND_IN = "pocketsphinx"
# Voxtral is not among them: its server is started where somebody wants it, and named then.
PROFILES: Mapping[Profile, str] = {"embedded": STAND_IN, "cpu": "faster-whisper", "gpu": "faster-whisper"}


class EngineWithStandIn:
    """An engine; the stand-in hears in its place, for good, where it has no model or cannot be loaded."""

    def __init__(self, leading: SttEngine, stand_in: SttEngine) -> None:
        self._hearing = leading
        self._stand_in = stand_in
        # Why the leading engine does not hear; empty while it does.
        self.degraded = ""

    @property
    def info(self) -> EngineInfo:
        """Of the one that hears."""
        return self._hearing.info

    @asynccontextmanager
    async def lifespan(self) -> AsyncGenerator[None]:
        """Load the leading engine, else the stand-in. Raises what the stand-in raises."""
        async with AsyncExitStack() as loaded:
            try:
                await loaded.enter_async_context(self._hearing.lifespan())
            except (InvalidRequest, EngineFailed) as error:
                self.degraded = f"{self.info.name}: {error.message}; {self._stand_in.info.name} hears in its place"
                log.warning("another engine hears", extra={"reason": self.degraded})
                self._hearing = self._stand_in
                await loaded.enter_async_context(self._hearing.lifespan())
            yield

    def open(self, config: TranscriptionConfig) -> AbstractAsyncContextManager[SttStream]:
        """Begin a microphone. Raises `Unsupported` for a language that the one that hears has not."""
        return self._hearing.open(config)
