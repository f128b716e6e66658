"""Supervision of one routed engine: loads it, probes its server, and reloads it after a loss."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from enum import StrEnum

from service_kit.errors import AnchorError, root_cause

from tts_service.engine import ServerBackedEngine, StagedEngine, Voice
from tts_service.metrics import ENGINE_SPEAKS
from tts_service.synthesis.stream import StreamAdapter

log = logging.getLogger(__name__)

# Interval between two probes of a server-backed engine.
CHECK_INTERVAL_S = 2.0
# Delay before a lost engine is loaded again; doubles with every attempt.
FIRST_RETRY_S, LAST_RETRY_S = 1.0, 30.0
# After a failed phrase, other engines are preferred for this long.
COOLDOWN_S = 10.0


class EngineState(StrEnum):
    """State of a routed engine. `LEFT_OUT` is final: the engine cannot load in this process."""

    LOADING = "loading"
    SPEAKING = "speaking"
    LOST = "lost"
    LEFT_OUT = "left out"


class SupervisedEngine:
    """A routed engine. `create` builds a new instance; `on_change` is called after every change of state."""

    def __init__(self, name: str, create: Callable[[], StreamAdapter], on_change: Callable[[], None]) -> None:
        self.name = name
        self.state = EngineState.LOADING
        # Why the engine is unavailable; empty while it is available.
        self.reason = ""
        # Present while the engine is available.
        self.adapter: StreamAdapter | None = None
        # The last known voices; kept while the engine is lost, so that a chosen voice stays valid.
        self._voices: Sequence[Voice] = ()
        self._create = create
        self._on_change = on_change
        self._failure_reported = asyncio.Event()
        self._cooldown_ends_s = 0.0

    @property
    def voices(self) -> Sequence[Voice]:
        """Its voices; the last known ones while it is lost."""
        return self._voices if self.adapter is None else self.adapter.voices()

    @property
    def languages(self) -> frozenset[str]:
        """Languages of its voices; the last known ones while it is lost."""
        return frozenset(language for voice in self.voices for language in voice.languages)

    @property
    def in_cooldown(self) -> bool:
        """Whether a phrase failed less than `COOLDOWN_S` ago."""
        return asyncio.get_running_loop().time() < self._cooldown_ends_s

    def report_failure(self) -> None:
        """Report a failed phrase: starts the cool-down, and an immediate probe of the server."""
        self._cooldown_ends_s = asyncio.get_running_loop().time() + COOLDOWN_S
        self._failure_reported.set()

    async def supervise(self) -> None:
        """Keep the engine loaded while this runs. Returns when it cannot load at all: no model, no package."""
        retry_s = FIRST_RETRY_S
        while True:
            was_loaded = False
            try:
                async with self._loaded() as adapter:
                    was_loaded = True
                    await self._watch_server(adapter)
            except Exception as error:
                # Do not store the error: its traceback holds the model, which would stay beside the next one loaded.
                self._on_lost(root_cause(error), was_loaded)
            if self.state is EngineState.LEFT_OUT:
                return
            retry_s = FIRST_RETRY_S if was_loaded else retry_s
            await asyncio.sleep(retry_s)
            retry_s = min(2 * retry_s, LAST_RETRY_S)

    @asynccontextmanager
    async def _loaded(self) -> AsyncGenerator[StreamAdapter]:
        adapter = self._create()
        if isinstance(adapter.phrase_engine, StagedEngine):
            adapter.phrase_engine.on_stage = self._report_stage
        async with adapter.lifespan():
            self._on_loaded(adapter)
            try:
                yield adapter
            finally:
                self._voices, self.adapter = self.voices, None
                ENGINE_SPEAKS.labels(self.name).set(0)

    def _report_stage(self, stage: str) -> None:
        # A loaded engine may report stages too, when it is woken.
        if self.adapter is None:
            self.reason = f"{self.state.value}: {stage}" if stage else ""
            self._on_change()

    def _on_loaded(self, adapter: StreamAdapter) -> None:
        log.info("engine available", extra={"engine": self.name})
        self.adapter, self.state, self.reason = adapter, EngineState.SPEAKING, ""
        self._cooldown_ends_s = 0.0
        ENGINE_SPEAKS.labels(self.name).set(1)
        self._on_change()

    def _on_lost(self, cause: BaseException, was_loaded: bool) -> None:
        # An engine that loaded once can load again.
        may_return = was_loaded or (isinstance(cause, AnchorError) and cause.retryable)
        state = EngineState.LOST if may_return else EngineState.LEFT_OUT
        reason = str(cause) or type(cause).__name__
        if (state, reason) != (self.state, self.reason):
            known = isinstance(cause, AnchorError | ImportError | OSError)
            fields = {"engine": self.name, "state": state, "reason": reason}
            log.warning("engine unavailable", extra=fields, exc_info=None if known else cause)
        self.state, self.reason = state, reason
        self._on_change()

    async def _watch_server(self, adapter: StreamAdapter) -> None:
        """Probe the server for ever; raise its failure. Without a server, wait for ever."""
        engine = adapter.phrase_engine
        while True:
            self._failure_reported.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(CHECK_INTERVAL_S):
                    await self._failure_reported.wait()
            if isinstance(engine, ServerBackedEngine):
                await engine.check_server()
