"""Keeps a model resident in its server's memory: pulls a missing one, loads it, checks it, and reloads it.

A parked model is unloaded, and stays so until it is woken.
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


_CHECK_INTERVAL_S = 15.0
_RETRY_S = 2.0
_MAX_RETRY_S = 30.0
_LOG_PULL_INTERVAL_S = 5.0


class LoadStage(StrEnum):
    """The stages of a model on its way into memory."""

    AWAY = "away"
    MISSING = "missing"
    PULLING = "pulling"
    LOADING = "loading"
    LOADED = "loaded"
    PARKED = "parked"


@dataclass(frozen=True, slots=True)
class Placement:
    """The memory of a loaded model: its total size and the part in GPU memory."""

    size_bytes: int
    gpu_bytes: int

    @property
    def cpu_bytes(self) -> int:
        return max(0, self.size_bytes - self.gpu_bytes)


@dataclass(frozen=True, slots=True)
class ModelState:
    """The model's stage; `reason` describes the problem, if any, in plain words."""

    stage: LoadStage
    reason: str = ""
    progress: PullProgress | None = None
    placement: Placement | None = None

    def describe(self, model: str) -> dict[str, object]:
        """Return the state as shown in `/health` and `/info`."""
        fields: dict[str, object] = {"model": model, "stage": self.stage.value, "reason": self.reason}
        if self.progress is not None:
            fields |= {"progress": asdict(self.progress), "so_far": str(self.progress)}
        if self.placement is not None:
            fields |= {"size_bytes": self.placement.size_bytes, "cpu_bytes": self.placement.cpu_bytes}
        return fields


class ModelServer(Protocol):
    """A server that keeps one model in memory. All methods raise `AnchorError`."""

    def pull(self) -> AsyncGenerator[PullProgress]:
        """Download the model; the generator ends when it is complete."""
        ...

    async def load(self) -> None:
        """Load and pin the model; returns at once if it is loaded. Raises `ModelMissing` if it is not downloaded."""
        ...

    async def unload(self) -> None:
        """Unload the model; returns when its memory is free, at once if it is not loaded."""
        ...

    async def placement(self) -> Placement | None:
        """Return the model's placement; None when it is not loaded."""
        ...


class Residency:
    """Keeps the model of `server` loaded: `run` does the work, `state` is the current state."""

    def __init__(self, server: ModelServer, *, may_pull: bool, gpu_expected: bool) -> None:
        self._server = server
        self._may_pull = may_pull
        self._gpu_expected = gpu_expected
        self._resident = False
        # Held while the model is loaded or unloaded, by `run` or by a caller; a pull may take hours.
        self._transition = asyncio.Lock()
        # Set when a wake failed, so that `run` checks without waiting for its interval.
        self._check_due = asyncio.Event()
        # The last logged reason, which is not logged again.
        self._logged_reason = ""
        self.state = ModelState(LoadStage.LOADING)
        LLM_LOADED.set(0)

    async def run(self) -> None:
        """Keep the model loaded until cancelled, except while it is parked."""
        retry_s = _RETRY_S
        while True:
            try:
                if not self.parked:
                    await self.ensure_loaded()
            except AnchorError as error:
                self._on_lost(error)
                await asyncio.sleep(retry_s)
                retry_s = min(2 * retry_s, _MAX_RETRY_S)
            else:
                retry_s = _RETRY_S
                await self._wait_for_next_check()

    @property
    def parked(self) -> bool:
        """Whether the model is parked."""
        return self.state.stage is LoadStage.PARKED

    async def park(self) -> None:
        """Unload the model until `wake`. Raises `AnchorError`, and then leaves the model as it was.

        `AtCapacity` means that it is being loaded.
        """
        # A check of a loaded model takes a moment, so `park` waits for it; loading may take minutes, so it does not.
        if self._transition.locked() and self.state.stage is not LoadStage.LOADED:
            raise AtCapacity("llm.loading", "the language model is being loaded; it can be parked when it is")
        async with self._transition:
            await self._server.unload()
            self._resident = False
            self._set_state(ModelState(LoadStage.PARKED))
        log.info("language model parked")

    async def wake(self) -> None:
        """Load the model. Raises `AnchorError`; after an error or a cancellation, `run` continues to try."""
        try:
            await self.ensure_loaded()
        except AnchorError as error:
            self._on_lost(error)
            raise
        finally:
            if self.state.stage is not LoadStage.LOADED:
                self._check_due.set()

    async def _wait_for_next_check(self) -> None:
        self._check_due.clear()
        try:
            async with asyncio.timeout(_CHECK_INTERVAL_S):
                await self._check_due.wait()
        except TimeoutError:
            return

    async def ensure_loaded(self) -> None:
        """Load the model unless it is loaded. Raises `AnchorError`."""
        async with self._transition:
            await self._ensure_loaded()

    async def _ensure_loaded(self) -> None:
        placement = await self._server.placement() if self._resident else None
        if placement is None:
            # Load it also when another client has loaded it, perhaps with other options, or not pinned.
            await self._load()
            placement = await self._server.placement()
        if placement is None:
            raise NotReady("llm.not_loaded", "the model server does not list the model that it just loaded")
        self._on_loaded(placement)

    async def wait_until_loaded(self) -> None:
        """Load the model for the first time, waiting for an unreachable server. Raises `ModelMissing`."""
        while True:
            try:
                return await self.ensure_loaded()
            except ModelMissing:
                raise
            except AnchorError as error:
                self._on_lost(error)
                await asyncio.sleep(_RETRY_S)

    def require_loaded(self) -> None:
        """Raise `NotReady` unless the model's last known stage is LOADED."""
        if self.state.stage is not LoadStage.LOADED:
            raise NotReady("llm.not_loaded", self.state.reason or f"the language model is {self.state.stage.value}")

    async def _load(self) -> None:
        self._set_state(ModelState(LoadStage.LOADING))
        try:
            await self._server.load()
        except ModelMissing:
            if not self._may_pull:
                raise
            await self._pull()
            self._set_state(ModelState(LoadStage.LOADING))
            await self._server.load()

    async def _pull(self) -> None:
        clock, logged_s = asyncio.get_running_loop().time, float("-inf")
        self._set_state(ModelState(LoadStage.PULLING))
        async with aclosing(self._server.pull()) as steps:
            async for progress in steps:
                self.state = ModelState(LoadStage.PULLING, progress=progress)
                if clock() - logged_s >= _LOG_PULL_INTERVAL_S:
                    logged_s = clock()
                    log.info("pulling the language model", extra=asdict(progress))

    def _on_loaded(self, placement: Placement) -> None:
        self._resident = True
        reason = ""
        if placement.cpu_bytes and self._gpu_expected:
            share = 100 * placement.cpu_bytes / max(1, placement.size_bytes)
            reason = f"{share:.0f} % of the language model are outside the GPU's memory: it will be slow"
        state = ModelState(LoadStage.LOADED, reason, placement=placement)
        if state == self.state:
            return
        self._logged_reason = ""
        self._set_state(state)
        LLM_CPU_BYTES.set(placement.cpu_bytes)
        level = logging.WARNING if reason else logging.INFO
        message = "language model spilled out of the GPU" if reason else "language model loaded"
        log.log(level, message, extra={"size_bytes": placement.size_bytes, "cpu_bytes": placement.cpu_bytes})

    def _on_lost(self, error: AnchorError) -> None:
        self._resident = False
        state = ModelState(LoadStage.MISSING if isinstance(error, ModelMissing) else LoadStage.AWAY, error.message)
        if state.reason != self._logged_reason:
            log.warning("language model not loaded", extra={"code": error.code, "reason": error.message})
        self._logged_reason = state.reason
        self._set_state(state)

    def _set_state(self, state: ModelState) -> None:
        self.state = state
        LLM_LOADED.set(1 if state.stage is LoadStage.LOADED else 0)
