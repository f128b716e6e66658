"""The language model that settings name, with the briefing behind it: what sessions get, and what is told of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from service_kit.errors import Unsupported

from orchestrator.conversation.messages.system_status import ServiceHealth, ServiceStatus
from orchestrator.conversation.model.ports import LanguageModel
from orchestrator.llm.circuit_breaker import PROBE_EVERY_S, CircuitBreaker, CircuitBreakerProbe
from orchestrator.llm.fallback import FallbackModel
from orchestrator.llm.ollama.residency import LoadStage
from orchestrator.llm.registry import BRIEFING, ParkableModel, ServedModel, served_model
from orchestrator.memory_pressure.parked_engine import ParkingState

_ON_ITS_WAY = {LoadStage.PULLING, LoadStage.LOADING}


class MainModel:
    """Open from entering the context to leaving it; the same for all sessions."""

    def __init__(
        self,
        name: str,
        briefing: LanguageModel,
        *,
        first_token_s: float,
        max_reply_chars: int,
        probe_every_s: float = PROBE_EVERY_S,
    ) -> None:
        """`probe_every_s` is how often a model that is away is asked for. Raises `InvalidRequest` for no known name."""
        self._briefing = briefing
        self._served: ServedModel | None = None if name == BRIEFING else served_model(name)
        self._first_token_s = first_token_s
        self._max_reply_chars = max_reply_chars
        self._probe_every_s = probe_every_s
        self._breaker = CircuitBreaker(probe_every_s)
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            if self._served is not None:
                await stack.enter_async_context(self._served)
                await stack.enter_async_context(CircuitBreakerProbe(self._breaker, self._served, self._probe_every_s))
            self._open = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._open.aclose()

    @property
    def model(self) -> str:
        """The weights; empty when there are none."""
        return self._served.model if self._served else ""

    def session_model(self) -> LanguageModel:
        """What one session thinks with."""
        if self._served is None:
            return self._briefing
        return FallbackModel(
            self._served,
            self._briefing,
            self._breaker,
            first_token_s=self._first_token_s,
            max_reply_chars=self._max_reply_chars,
        )

    @property
    def parkable(self) -> bool:
        """Whether the model holds memory that it could give back."""
        return isinstance(self._served, ParkableModel)

    @property
    def parked(self) -> bool:
        """Whether it has given it back."""
        return isinstance(self._served, ParkableModel) and self._served.parked

    async def park(self) -> None:
        """Give the model's memory back; the briefing answers until `wake`. Raises `AnchorError`: then all is as it was.

        Nobody may be waiting for a reply.
        """
        model = self._parkable()
        self._breaker.resting = True
        try:
            await model.park()
        finally:
            self._breaker.resting = model.parked

    async def wake(self) -> None:
        """Take the memory again. Raises `AnchorError`: then the model is away, and asked again when it is back."""
        model = self._parkable()
        try:
            await model.wake()
        except BaseException:
            # Whoever gives up waiting, too: the model goes on waking, and is asked when a probe finds it awake.
            self._breaker.resting = model.parked
            self._breaker.on_failure(asyncio.get_running_loop().time(), for_good=True)
            raise
        self._breaker.resting = False

    def _parkable(self) -> ParkableModel:
        if not isinstance(self._served, ParkableModel):
            name = self._served.name if self._served else BRIEFING
            raise Unsupported("llm.not_parkable", f"language model {name} holds no memory that it could give back")
        return self._served

    def describe(self) -> Mapping[str, object]:
        """What `/health` and `/info` add; nothing for the briefing, which is never away."""
        if self._served is None:
            return {}
        answering = BRIEFING if self._breaker.open else self._served.name
        return {"language_model": {**self._served.describe(), "answered_by": answering}}

    def status(self) -> tuple[ServiceStatus, ...]:
        """The model as one of the services that the orchestrator leans on; none for the briefing."""
        if self._served is None:
            return ()
        told = self._served.describe()
        if not self._breaker.open:
            health = ServiceHealth.SERVICE_HEALTH_READY
        elif self.parked or told.get("stage") in _ON_ITS_WAY:
            health = ServiceHealth.SERVICE_HEALTH_LOADING
        else:
            health = ServiceHealth.SERVICE_HEALTH_DOWN
        model = ", ".join(part for part in (self._served.model, str(told.get("so_far", ""))) if part)
        return (ServiceStatus("language-model", health, self._served.name, model),)


class MainModelParking:
    """The memory of `model`; implements `EngineControl`."""

    def __init__(self, model: MainModel) -> None:
        self._model = model

    async def state(self) -> ParkingState:
        """How the model is: one that is still being fetched or loaded for the first time counts as awake."""
        if not self._model.parkable:
            return ParkingState.FIXED
        return ParkingState.PARKED if self._model.parked else ParkingState.AWAKE

    async def park(self) -> None:
        """Have it unloaded."""
        await self._model.park()

    async def wake(self) -> None:
        """Have it loaded. A server that is away is not waited for here: the model's residency does that."""
        await self._model.wake()
