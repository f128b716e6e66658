"""One engine among several: loaded, watched, and loaded again when it was lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from enum import StrEnum

from service_kit.errors import AnchorError, root_cause

from tts_service.engine import ServerBackedEngine, Voice
from tts_service.metrics import ENGINE_SPEAKS
from tts_service.synthesis.stream import StreamAdapter

log = logging.getLogger(__name__)

# How often an engine that has a server is asked whether it is well.
CHECK_INTERVAL_S = 2.0
# How soon a lost engine is tried again: at first, and at most after some trying.
FIRST_RETRY_S, LAST_RETRY_S = 1.0, 30.0
# An engine that failed in a phrase leaves the next ones to others for so long.
COOLDOWN_S = 10.0


class EngineState(StrEnum):
    """Whether an engine speaks, may yet, or never will in this process."""

    LOADING = "loading"
    SPEAKING = "speaking"
    LOST = "lost"
    LEFT_OUT = "left out"


class SupervisedEngine:
    """An engine by its name. `changed` is called whenever its state changes."""

    def __init__(self, name: str, create: Callable[[], StreamAdapter], on_change: Callable[[], None]) -> None:
        self.name = name
        self.state = EngineState.LOADING
        # Why it does not speak.
        self.reason = ""
        # There while it speaks.
        self.adapter: StreamAdapter | None = None
        # As it last told; kept while it is lost, so that a chosen voice stays known.
        self._voices: Sequence[Voice] = ()
        self._create = create
        self._on_change = on_change
        self._failure_reported = asyncio.Event()
        self._cooldown_ends_s = 0.0

    @property
    def voices(self) -> Sequence[Voice]:
        """Its voices, also while it is lost."""
        return self._voices if self.adapter is None else self.adapter.voices()

    @property
    def languages(self) -> frozenset[str]:
        """What it speaks, also while it is lost."""
        return frozenset(language for voice in self.voices for language in voice.languages)

    @property
    def in_cooldown(self) -> bool:
        """Whether it failed just now."""
        return asyncio.get_running_loop().time() < self._cooldown_ends_s

    def report_failure(self) -> None:
        """Say that it failed in a phrase: others go first for a while, and its server is looked at."""
        self._cooldown_ends_s = asyncio.get_running_loop().time() + COOLDOWN_S
        self._failure_reported.set()

    async def supervise(self) -> None:
        """Have it speak as long as this runs. Returns when it never will: no model, no package."""
        retry_s = FIRST_RETRY_S
        while True:
            spoke = False
            try:
                async with self._loaded() as speech:
                    spoke = True
                    await self._watch_server(speech)
            except Exception as error:
                # Not kept by a name: its frames hold a model, which would be there beside the one loaded next.
                self._on_lost(root_cause(error), spoke)
            if self.state is EngineState.LEFT_OUT:
                return
            retry_s = FIRST_RETRY_S if spoke else retry_s
            await asyncio.sleep(retry_s)
            retry_s = min(2 * retry_s, LAST_RETRY_S)

    @asynccontextmanager
    async def _loaded(self) -> AsyncGenerator[StreamAdapter]:
        speech = self._create()
        async with speech.lifespan():
            self._on_loaded(speech)
            try:
                yield speech
            finally:
                self._voices, self.adapter = self.voices, None
                ENGINE_SPEAKS.labels(self.name).set(0)

    def _on_loaded(self, speech: StreamAdapter) -> None:
        log.info("engine speaks", extra={"engine": self.name})
        self.adapter, self.state, self.reason = speech, EngineState.SPEAKING, ""
        self._cooldown_ends_s = 0.0
        ENGINE_SPEAKS.labels(self.name).set(1)
        self._on_change()

    def _on_lost(self, cause: BaseException, spoke: bool) -> None:
        # What spoke once may do so again.
        may_return = spoke or (isinstance(cause, AnchorError) and cause.retryable)
        state = EngineState.LOST if may_return else EngineState.LEFT_OUT
        reason = str(cause) or type(cause).__name__
        if (state, reason) != (self.state, self.reason):
            known = isinstance(cause, AnchorError | ImportError | OSError)
            fields = {"engine": self.name, "state": state, "reason": reason}
            log.warning("engine does not speak", extra=fields, exc_info=None if known else cause)
        self.state, self.reason = state, reason
        self._on_change()

    async def _watch_server(self, speech: StreamAdapter) -> None:
        """Return never; raise what its server fails with."""
        engine = speech.phrase_engine
        while True:
            self._failure_reported.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(CHECK_INTERVAL_S):
                    await self._failure_reported.wait()
            if isinstance(engine, ServerBackedEngine):
                await engine.check_server()
