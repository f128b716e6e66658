"""The main language model as what may be parked."""

from __future__ import annotations

from orchestrator.llm.main_model import MainModel
from orchestrator.memory_pressure.parked_engine import State


class ModelMemory:
    """The memory of `model`; implements `RestingEngine`."""

    def __init__(self, model: MainModel) -> None:
        self._model = model

    async def state(self) -> State:
        """How the model is: one that is still being fetched or loaded for the first time counts as awake."""
        if not self._model.parkable:
            return State.FIXED
        return State.PARKED if self._model.parked else State.AWAKE

    async def park(self) -> None:
        """Have it unloaded."""
        await self._model.park()

    async def wake(self) -> None:
        """Have it loaded. A server that is away is not waited for here: the model's residency does that."""
        await self._model.wake()
