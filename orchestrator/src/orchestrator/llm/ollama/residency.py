"""A model that stays in its server's memory: fetched when it is missing, loaded, watched, loaded again.

Unless it is parked: then it is unloaded, and stays so until it is woken.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Protocol

from service_kit.errors import AnchorError, AtCapacity, NotReady

from orchestrator.llm.ollama.pull_progress import PullProgress
from orchestrator.llm.streaming import ModelMissing
from orchestrator.metrics import LLM_CPU_BYTES, LLM_LOADED

log = logging.getLogger(__name__)


_CHECK_EVERY_S = 15.0
_RETRY_S = 2.0
_LONGEST_RETRY_S = 30.0
_LOG_PULL_EVERY_S = 5.0


class LoadStage(StrEnum):
    """How far the model is from answering."""

    AWAY = "away"
    MISSING = "missing"
    PULLING = "pulling"
    LOADING = "loading"
    LOADED = "loaded"
    PARKED = "parked"


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a loaded model lies, in bytes."""

    size_bytes: int
    gpu_bytes: int

    @property
    def cpu_bytes(self) -> int:
        return max(0, self.size_bytes - self.gpu_bytes)


@dataclass(frozen=True, slots=True)
class ModelState:
    """How the model is; `reason` says in plain words what is wrong, where something is."""

    stage: LoadStage
    reason: str = ""
    progress: PullProgress | None = None
    placement: Placement | None = None

    def describe(self, model: str) -> dict[str, object]:
        """As `/health` and `/info` tell it."""
        told: dict[str, object] = {"model": model, "stage": self.stage.value, "reason": self.reason}
        if self.progress is not None:
            told |= {"progress": asdict(self.progress), "so_far": str(self.progress)}
        if self.placement is not None:
            told |= {"size_bytes": self.placement.size_bytes, "cpu_bytes": self.placement.cpu_bytes}
        return told


class ModelServer(Protocol):
    """What keeps a model in memory. All methods raise `AnchorError`."""

    def pull(self) -> AsyncGenerator[PullProgress]:
        """Fetch the model; ends when it is there."""
        ...

    async def load(self) -> None:
        """Load the model and pin it; at once when it is loaded. Raises `ModelMissing` when it is not there."""
        ...

    async def unload(self) -> None:
        """Give the model's memory back; returns when it is given back. At once when it is not loaded."""
        ...

    async def placement(self) -> Placement | None:
        """Where the model lies; None when it is not loaded."""
        ...


class Residency:
    """Sees to it that `server` holds the model. `run` is the work; `state` is how it stands."""

    def __init__(self, server: ModelServer, *, may_pull: bool, gpu_expected: bool) -> None:
        self._server = server
        self._may_pull = may_pull
        self._gpu_expected = gpu_expected
        self._resident = False
        # Whoever loads or unloads, beside `run`; a pull may take hours.
        self._moving = asyncio.Lock()
        # A wake came to nothing: `run` need not wait for its next check.
        self._unsettled = asyncio.Event()
        # What the log was last told to be wrong.
        self._told = ""
        self.state = ModelState(LoadStage.LOADING)
        LLM_LOADED.set(0)

    async def run(self) -> None:
        """Keep the model loaded until cancelled, but for the time that it is parked."""
        retry_s = _RETRY_S
        while True:
            try:
                if not self.parked:
                    await self.wait_until_settled()
            except AnchorError as error:
                self._lost(error)
                await asyncio.sleep(retry_s)
                retry_s = min(2 * retry_s, _LONGEST_RETRY_S)
            else:
                retry_s = _RETRY_S
                await self._until_next_check()

    @property
    def parked(self) -> bool:
        """Whether the model is unloaded on purpose."""
        return self.state.stage is LoadStage.PARKED

    async def park(self) -> None:
        """Have the model out of memory when this returns, and leave it so. Raises `AnchorError`: then it is as it was.

        `AtCapacity` means that it is being loaded.
        """
        # Whether a loaded model is still there is asked in a moment, and waited for here.
        if self._moving.locked() and self.state.stage is not LoadStage.LOADED:
            raise AtCapacity("llm.loading", "the language model is being loaded; it can be parked when it is")
        async with self._moving:
            await self._server.unload()
            self._resident = False
            self._move(ModelState(LoadStage.PARKED))
        log.info("language model parked")

    async def wake(self) -> None:
        """Have the model in memory when this returns. Raises `AnchorError`: then, or given up, `run` goes on trying."""
        try:
            await self.wait_until_settled()
        except AnchorError as error:
            self._lost(error)
            raise
        finally:
            if self.state.stage is not LoadStage.LOADED:
                self._unsettled.set()

    async def _until_next_check(self) -> None:
        self._unsettled.clear()
        try:
            async with asyncio.timeout(_CHECK_EVERY_S):
                await self._unsettled.wait()
        except TimeoutError:
            return

    async def wait_until_settled(self) -> None:
        """Have the model in memory when this returns. Raises `AnchorError`."""
        async with self._moving:
            await self._settle()

    async def _settle(self) -> None:
        placement = await self._server.placement() if self._resident else None
        if placement is None:
            # Also when it is loaded by somebody else: perhaps with other options, or not pinned.
            await self._load()
            placement = await self._server.placement()
        if placement is None:
            raise NotReady("llm.not_loaded", "the model server does not list the model that it has just loaded")
        self._settled(placement)

    async def wait_until_loaded(self) -> None:
        """Settle for the first time, however long the server is away. Raises `ModelMissing` for what will not come."""
        while True:
            try:
                return await self.wait_until_settled()
            except ModelMissing:
                raise
            except AnchorError as error:
                self._lost(error)
                await asyncio.sleep(_RETRY_S)

    def require(self) -> None:
        """Raise `NotReady` unless the model is loaded as far as is known."""
        if self.state.stage is not LoadStage.LOADED:
            raise NotReady("llm.not_loaded", self.state.reason or f"the language model is {self.state.stage.value}")

    async def _load(self) -> None:
        self._move(ModelState(LoadStage.LOADING))
        try:
            await self._server.load()
        except ModelMissing:
            if not self._may_pull:
                raise
            await self._pull()
            self._move(ModelState(LoadStage.LOADING))
            await self._server.load()

    async def _pull(self) -> None:
        clock, logged_s = asyncio.get_running_loop().time, float("-inf")
        self._move(ModelState(LoadStage.PULLING))
        async with aclosing(self._server.pull()) as steps:
            async for progress in steps:
                self.state = ModelState(LoadStage.PULLING, progress=progress)
                if clock() - logged_s >= _LOG_PULL_EVERY_S:
                    logged_s = clock()
                    log.info("pulling the language model", extra=asdict(progress))

    def _settled(self, placement: Placement) -> None:
        self._resident = True
        reason = ""
        if placement.cpu_bytes and self._gpu_expected:
            share = 100 * placement.cpu_bytes / max(1, placement.size_bytes)
            reason = f"{share:.0f} % of the language model lie outside of the GPU's memory: it will be slow"
        state = ModelState(LoadStage.LOADED, reason, placement=placement)
        if state == self.state:
            return
        self._told = ""
        self._move(state)
        LLM_CPU_BYTES.set(placement.cpu_bytes)
        level = logging.WARNING if reason else logging.INFO
        message = "language model spilled out of the GPU" if reason else "language model loaded"
        log.log(level, message, extra={"size_bytes": placement.size_bytes, "cpu_bytes": placement.cpu_bytes})

    def _lost(self, error: AnchorError) -> None:
        self._resident = False
        state = ModelState(LoadStage.MISSING if isinstance(error, ModelMissing) else LoadStage.AWAY, error.message)
        if state.reason != self._told:
            log.warning("language model not loaded", extra={"code": error.code, "reason": error.message})
        self._told = state.reason
        self._move(state)

    def _move(self, state: ModelState) -> None:
        self.state = state
        LLM_LOADED.set(1 if state.stage is LoadStage.LOADED else 0)
