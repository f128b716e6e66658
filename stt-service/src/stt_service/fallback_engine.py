"""The engine of each profile, and a fallback for an engine that cannot be loaded."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from service_kit.engines.info import EngineInfo
from service_kit.errors import EngineFailed, InvalidRequest
from service_kit.settings import Profile

from stt_service.engine import SttEngine, SttStream, TranscriptionConfig

log = logging.getLogger(__name__)

# Part of every installation; needs no model file and no server.
FALLBACK_NAME = "pocketsphinx"
# The engine of each profile when the `engine` setting is empty. Voxtral is never a default: it needs a server that the
# operator starts and names in the settings.
PROFILE_ENGINES: Mapping[Profile, str] = {"embedded": FALLBACK_NAME, "cpu": "faster-whisper", "gpu": "faster-whisper"}


class FallbackEngine:
    """An engine with a fallback, which replaces it until the service stops if it has no model or cannot be loaded."""

    def __init__(self, preferred: SttEngine, fallback: SttEngine) -> None:
        self._active = preferred
        self._fallback = fallback
        # Why the fallback is active; empty while the preferred engine is.
        self.degraded = ""

    @property
    def info(self) -> EngineInfo:
        """Return the active engine's info."""
        return self._active.info

    @asynccontextmanager
    async def lifespan(self) -> AsyncGenerator[None]:
        """Load the preferred engine; on `InvalidRequest` or `EngineFailed`, load the fallback instead.

        Raises all other errors of the preferred engine, and the errors of the fallback.
        """
        async with AsyncExitStack() as loaded:
            try:
                await loaded.enter_async_context(self._active.lifespan())
            except (InvalidRequest, EngineFailed) as error:
                self.degraded = f"{self.info.name}: {error.message}; {self._fallback.info.name} is used instead"
                log.warning("fallback engine activated", extra={"reason": self.degraded})
                self._active = self._fallback
                await loaded.enter_async_context(self._active.lifespan())
            yield

    def open_stream(self, config: TranscriptionConfig) -> AbstractAsyncContextManager[SttStream]:
        """Open a microphone stream. Raises `Unsupported` for a language that the active engine does not support."""
        return self._active.open_stream(config)
