"""One engine among several: loaded, watched, and loaded again when it was lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from enum import StrEnum

from service_kit.errors import AnchorError, root_cause

from tts_service.engine import ServedEngine, Voice
from tts_service.metrics import ENGINE_SPEAKS
from tts_service.synthesis.stream import PhraseSpeech

log = logging.getLogger(__name__)

# How often an engine that has a server is asked whether it is well.
CHECK_EVERY_S = 2.0
# How soon a lost engine is tried again: at first, and at most after some trying.
FIRST_RETRY_S, LAST_RETRY_S = 1.0, 30.0
# An engine that failed in a phrase leaves the next ones to others for so long.
REST_S = 10.0


class State(StrEnum):
    """Whether an engine speaks, may yet, or never will in this process."""

    LOADING = "loading"
    SPEAKING = "speaking"
    LOST = "lost"
    LEFT_OUT = "left out"


class KeptEngine:
    """An engine by its name. `changed` is called whenever its state changes."""

    def __init__(self, name: str, make: Callable[[], PhraseSpeech], changed: Callable[[], None]) -> None:
        self.name = name
        self.state = State.LOADING
        # Why it does not speak.
        self.reason = ""
        # There while it speaks.
        self.speech: PhraseSpeech | None = None
        # As it last told; kept while it is lost, so that a chosen voice stays known.
        self._voices: Sequence[Voice] = ()
        self._make = make
        self._changed = changed
        self._doubted = asyncio.Event()
        self._rests_until_s = 0.0

    @property
    def voices(self) -> Sequence[Voice]:
        """Its voices, also while it is lost."""
        return self._voices if self.speech is None else self.speech.voices()

    @property
    def languages(self) -> frozenset[str]:
        """What it speaks, also while it is lost."""
        return frozenset(language for voice in self.voices for language in voice.languages)

    @property
    def rests(self) -> bool:
        """Whether it failed just now."""
        return asyncio.get_running_loop().time() < self._rests_until_s

    def doubt(self) -> None:
        """Say that it failed in a phrase: others go first for a while, and its server is looked at."""
        self._rests_until_s = asyncio.get_running_loop().time() + REST_S
        self._doubted.set()

    async def keep(self) -> None:
        """Have it speak as long as this runs. Returns when it never will: no model, no package."""
        retry_s = FIRST_RETRY_S
        while True:
            spoke = False
            try:
                async with self._loaded() as speech:
                    spoke = True
                    await self._watch(speech)
            except Exception as error:
                # Not kept by a name: its frames hold a model, which would be there beside the one loaded next.
                self._lose(root_cause(error), spoke)
            if self.state is State.LEFT_OUT:
                return
            retry_s = FIRST_RETRY_S if spoke else retry_s
            await asyncio.sleep(retry_s)
            retry_s = min(2 * retry_s, LAST_RETRY_S)

    @asynccontextmanager
    async def _loaded(self) -> AsyncGenerator[PhraseSpeech]:
        speech = self._make()
        async with speech.lifespan():
            self._arrive(speech)
            try:
                yield speech
            finally:
                self._voices, self.speech = self.voices, None
                ENGINE_SPEAKS.labels(self.name).set(0)

    def _arrive(self, speech: PhraseSpeech) -> None:
        log.info("engine speaks", extra={"engine": self.name})
        self.speech, self.state, self.reason = speech, State.SPEAKING, ""
        self._rests_until_s = 0.0
        ENGINE_SPEAKS.labels(self.name).set(1)
        self._changed()

    def _lose(self, cause: BaseException, spoke: bool) -> None:
        # What spoke once may do so again.
        may_return = spoke or (isinstance(cause, AnchorError) and cause.retryable)
        state = State.LOST if may_return else State.LEFT_OUT
        reason = str(cause) or type(cause).__name__
        if (state, reason) != (self.state, self.reason):
            known = isinstance(cause, AnchorError | ImportError | OSError)
            fields = {"engine": self.name, "state": state, "reason": reason}
            log.warning("engine does not speak", extra=fields, exc_info=None if known else cause)
        self.state, self.reason = state, reason
        self._changed()

    async def _watch(self, speech: PhraseSpeech) -> None:
        """Return never; raise what its server fails with."""
        engine = speech.phrases
        while True:
            self._doubted.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(CHECK_EVERY_S):
                    await self._doubted.wait()
            if isinstance(engine, ServedEngine):
                await engine.check()
