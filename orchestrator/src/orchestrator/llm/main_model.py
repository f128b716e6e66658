"""The configured language model with the briefing as its fallback: sessions' models, parking, and status."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from service_kit.errors import NotReady, Unsupported

from orchestrator.conversation.messages.system_status import Degradation, ServiceHealth, ServiceStatus
from orchestrator.conversation.model.ports import LanguageModel
from orchestrator.llm.circuit_breaker import PROBE_INTERVAL_S, CircuitBreaker, CircuitBreakerProbe
from orchestrator.llm.fallback import FallbackModel
from orchestrator.llm.local.engine import LocalModel
from orchestrator.llm.local.local_fallback import LocalFallback
from orchestrator.llm.ollama.residency import LoadStage
from orchestrator.llm.registry import BRIEFING, LOCAL, ParkableModel, ServedModel, served_model
from orchestrator.memory_pressure.parkable_engine import ParkingState

# Of a failure, on `/health` and in the console: a server's message may be long.
_MAX_REASON_CHARS = 200
_LOADING_STAGES = {LoadStage.PULLING, LoadStage.LOADING}


class MainModel:
    """Owns the connection to the language model while its context is open. Shared by all sessions."""

    def __init__(
        self,
        name: str,
        briefing: LanguageModel,
        *,
        first_token_s: float,
        max_reply_chars: int,
        probe_interval_s: float = PROBE_INTERVAL_S,
        local: LocalModel | None = None,
    ) -> None:
        """`probe_interval_s` is the interval of probes while the breaker is open.

        `local` is the local model: the main model itself for the name `local`, and otherwise its fallback, before
        `briefing`.

        Raises `InvalidRequest` for an unknown name.
        """
        self._briefing = briefing
        self._served: ServedModel | None = None
        if name == LOCAL:
            self._served, local = local, None
        elif name != BRIEFING:
            self._served = served_model(name)
        self._local = local
        self._first_token_s = first_token_s
        self._max_reply_chars = max_reply_chars
        self._probe_interval_s = probe_interval_s
        self._breaker = CircuitBreaker(probe_interval_s)
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            if self._local is not None:
                await stack.enter_async_context(self._local)
            if self._served is not None:
                await stack.enter_async_context(self._served)
                await stack.enter_async_context(
                    CircuitBreakerProbe(self._breaker, self._served, self._probe_interval_s).running()
                )
            self._open = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._open.aclose()

    @property
    def model(self) -> str:
        """The model's name at its server; empty for the briefing and the script."""
        return self._served.model if self._served else ""

    @property
    def reads_knowledge(self) -> bool:
        """Whether replies are taken from the knowledge folder; a model at a server does not get it."""
        return self._served is None or self._served.name == LOCAL

    def session_model(self) -> LanguageModel:
        """Return the language model for one session."""
        if self._served is None:
            return self._briefing
        return FallbackModel(
            self._served,
            LocalFallback(self._local, self._briefing) if self._local else self._briefing,
            self._breaker,
            first_token_s=self._first_token_s,
            max_reply_chars=self._max_reply_chars,
        )

    @property
    def parkable(self) -> bool:
        """Whether the model can be parked."""
        return isinstance(self._served, ParkableModel)

    @property
    def parked(self) -> bool:
        """Whether the model is parked."""
        return isinstance(self._served, ParkableModel) and self._served.parked

    async def park(self) -> None:
        """Free the model's memory; the briefing answers until `wake`. No reply may be in progress.

        Raises `AnchorError`, and then leaves the model as it was.
        """
        model = self._parkable()
        self._breaker.parked = True
        try:
            await model.park()
        finally:
            self._breaker.parked = model.parked

    async def wake(self) -> None:
        """Load the model again. Raises `AnchorError`; the breaker is then open until a probe succeeds."""
        model = self._parkable()
        try:
            await model.wake()
        except BaseException:
            # Also on cancellation: the model continues to load, and is used again after a successful probe.
            self._breaker.parked = model.parked
            self._breaker.on_failure(asyncio.get_running_loop().time(), permanent=True)
            raise
        self._breaker.parked = False

    def _parkable(self) -> ParkableModel:
        if not isinstance(self._served, ParkableModel):
            name = self._served.name if self._served else BRIEFING
            raise Unsupported("llm.not_parkable", f"language model {name} cannot be parked")
        return self._served

    def describe(self) -> Mapping[str, object]:
        """Return the details for `/health` and `/info`; empty for the briefing."""
        if self._served is None:
            return {}
        described = dict(self._served.describe())
        answering = BRIEFING if self._breaker.open else self._served.name
        if self._local is not None:
            described["fallback"] = {"engine": LOCAL, **self._local.describe()}
        details: dict[str, object] = {"language_model": {**described, "answered_by": answering}}
        if self._served.name == LOCAL and self._breaker.open:
            details["degraded"] = f"the local language model does not run: {described.get('reason', 'no answer')}"
        elif failing := self.degraded():
            details["degraded"] = failing[0].message
        return details

    def degraded(self) -> tuple[Degradation, ...]:
        """Return why replies are not the model's, if it failed at the latest; empty while it answers, or is parked."""
        failure = self._breaker.latest_failure
        if self._served is None or failure is None or self.parked or isinstance(failure, NotReady):
            # A model that loads has a status of its own.
            return ()
        reason = failure.message[:_MAX_REASON_CHARS]
        return (Degradation("llm.failing", f"the language model fails ({failure.code}): {reason}"),)

    def status(self) -> tuple[ServiceStatus, ...]:
        """Return the model's entry in the list of services; empty for the briefing."""
        if self._served is None:
            return ()
        details = self._served.describe()
        if not self._breaker.open:
            health = ServiceHealth.SERVICE_HEALTH_READY
        elif self.parked or details.get("stage") in _LOADING_STAGES:
            health = ServiceHealth.SERVICE_HEALTH_LOADING
        else:
            health = ServiceHealth.SERVICE_HEALTH_DOWN
        model = ", ".join(part for part in (self._served.model, str(details.get("so_far", ""))) if part)
        return (ServiceStatus("language-model", health, self._served.name, model),)


class MainModelControl:
    """Parks and wakes the main model; implements `EngineControl`."""

    def __init__(self, model: MainModel) -> None:
        self._model = model

    async def state(self) -> ParkingState:
        """Return the model's state; AWAKE also while it is pulled or loaded for the first time."""
        if not self._model.parkable:
            return ParkingState.FIXED
        return ParkingState.PARKED if self._model.parked else ParkingState.AWAKE

    async def park(self) -> None:
        """Unload the model."""
        await self._model.park()

    async def wake(self) -> None:
        """Load the model. Does not wait for an unreachable server; the model's `Residency` does that."""
        await self._model.wake()
