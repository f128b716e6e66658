"""Fallbacks for an engine that cannot be loaded."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Protocol, runtime_checkable

from service_kit.engines.info import EngineInfo
from service_kit.errors import EngineFailed, InvalidRequest

from stt_service.engine import SttEngine, SttStream, TranscriptionConfig

log = logging.getLogger(__name__)


@runtime_checkable
class DegradableEngine(Protocol):
    """An engine that may work with less than it should."""

    @property
    def degraded(self) -> str:
        """Why it does; empty when it does not."""
        ...


class FallbackEngine:
    """An engine with fallbacks, in order: the next replaces one that has no model or cannot be loaded.

    A fallback is built only when it is needed, and stays until the service stops.
    """

    def __init__(self, preferred: SttEngine, *fallbacks: Callable[[], SttEngine]) -> None:
        self._active = preferred
        self._fallbacks = fallbacks
        self._failures: list[str] = []

    @property
    def info(self) -> EngineInfo:
        """Return the active engine's info."""
        return self._active.info

    @property
    def degraded(self) -> str:
        """Why a fallback is active, and why the active engine is degraded itself; empty when neither."""
        own = self._active.degraded if isinstance(self._active, DegradableEngine) else ""
        reasons = [f"{'; '.join(self._failures)}; {_title(self.info)} is used instead"] if self._failures else []
        return "; ".join([*reasons, *filter(None, [own])])

    @asynccontextmanager
    async def lifespan(self) -> AsyncGenerator[None]:
        """Load the preferred engine; on `InvalidRequest` or `EngineFailed`, load the next fallback instead.

        Raises all other errors, and `EngineFailed` when no engine can be loaded.
        """
        async with AsyncExitStack() as loaded:
            await self._load(loaded)
            if self._failures:
                log.warning("fallback engine activated", extra={"reason": self.degraded})
            yield

    async def _load(self, loaded: AsyncExitStack) -> None:
        preferred = self._active
        for build in (lambda: preferred, *self._fallbacks):
            engine: SttEngine | None = None
            try:
                engine = build()
                await loaded.enter_async_context(engine.lifespan())
            except (InvalidRequest, EngineFailed) as error:
                title = "" if engine is None else f"{_title(engine.info)}: "
                self._failures.append(title + error.message)
            else:
                self._active = engine
                return
        raise EngineFailed("stt.no_engine", f"no recogniser can be loaded: {'; '.join(self._failures)}")

    def open_stream(self, config: TranscriptionConfig) -> AbstractAsyncContextManager[SttStream]:
        """Open a microphone stream. Raises `Unsupported` for a language that the active engine does not support."""
        return self._active.open_stream(config)


def _title(info: EngineInfo) -> str:
    # The size is part of a Whisper model's name: `whisper-base`.
    return info.model if info.model.startswith(f"{info.name}-") else " ".join(filter(None, (info.name, info.model)))
