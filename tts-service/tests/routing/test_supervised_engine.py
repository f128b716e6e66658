"""Supervision of one engine."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from service_kit.errors import EngineFailed
from service_kit.tasks import stop_task
from tone_engines import LIMITS, ToneEngine
from tts_service.routing.supervised_engine import SupervisedEngine
from tts_service.synthesis.stream import StreamAdapter


class Weights:
    """Stands for a loaded model's weights."""


async def test_lost_model_is_freed_before_it_is_loaded_again() -> None:
    loaded_weights: list[weakref.ref[Weights]] = []
    alive_at_load: list[int] = []

    class FailingOnceEngine(ToneEngine):
        @asynccontextmanager
        async def lifespan(self) -> AsyncGenerator[None]:
            alive_at_load.append(sum(weights() is not None for weights in loaded_weights))
            weights = Weights()
            loaded_weights.append(weakref.ref(weights))
            if len(loaded_weights) == 1:
                raise EngineFailed("tts.engine_failed", "the speech model failed")
            yield

    loaded = asyncio.Event()
    engine = SupervisedEngine(
        "main",
        lambda: StreamAdapter(FailingOnceEngine("main", ("en",), 0.5), LIMITS),
        lambda: engine.adapter and loaded.set(),
    )
    supervising = asyncio.create_task(engine.supervise())
    async with asyncio.timeout(20):
        await loaded.wait()
    await stop_task(supervising)
    assert alive_at_load == [0, 0]


async def test_stages_of_a_start_are_the_reason_until_it_is_loaded() -> None:
    reasons: list[str] = []

    class StagedToneEngine(ToneEngine):
        on_stage: Callable[[str], None] = staticmethod(lambda stage: None)

        @asynccontextmanager
        async def lifespan(self) -> AsyncGenerator[None]:
            self.on_stage("speaking the reference of the default voice in en")
            self.on_stage("")
            yield
            self.on_stage("unloading")

    engine = SupervisedEngine(
        "main",
        lambda: StreamAdapter(StagedToneEngine("main", ("en",), 0.5), LIMITS),
        lambda: reasons.append(engine.reason),
    )
    supervising = asyncio.create_task(engine.supervise())
    async with asyncio.timeout(20):
        while engine.adapter is None:
            await asyncio.sleep(0)
    assert reasons == ["loading: speaking the reference of the default voice in en", "", ""]
    await stop_task(supervising)
