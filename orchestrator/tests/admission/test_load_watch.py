"""Load shedding end to end on a virtual clock: the load rises and falls, and users, operators and the desk notice."""

from __future__ import annotations

import asyncio

import pytest
from orchestrator.admission.capacity import CallCapacity
from orchestrator.admission.desk import AdmissionDesk
from orchestrator.admission.load_ladder import LoadStep
from orchestrator.admission.load_meter import LoadMeter
from orchestrator.admission.load_watch import LoadWatch
from orchestrator.conversation.model.degradation import DegradationBoard
from orchestrator.conversation.model.ports import Admitted, Waiting
from prometheus_client import REGISTRY

pytestmark = pytest.mark.virtual_clock


def taken() -> float | None:
    return REGISTRY.get_sample_value("anchor_load_steps_taken")


def steps(outcome: str) -> list[float]:
    labels = ({"step": step.value, "outcome": outcome} for step in LoadStep)
    return [REGISTRY.get_sample_value("anchor_load_steps_total", each) or 0 for each in labels]


async def test_each_step_is_taken_in_order_and_undone_when_the_load_is_low():
    meter, board = LoadMeter(), DegradationBoard()
    watch = LoadWatch(meter, board)
    desk = AdmissionDesk(CallCapacity(2, {"cores": 2}))
    before = steps("taken"), steps("undone")
    loop = asyncio.get_running_loop()
    told: list[object] = []
    seen: list[tuple[str, ...]] = []
    async with watch.running(desk):
        # A transcript that does not come.
        meter.on_flush("stream", loop.time())
        for _ in range(40):
            await asyncio.sleep(0.25)
            codes = tuple(entry.code for entry in board.degraded)
            if not seen or seen[-1] != codes:
                seen.append(codes)
        assert taken() == 4
        assert all(watch.sheds(step) for step in LoadStep)
        place = desk.open(told.append)
        assert isinstance(place.request(waits=True), Waiting)
        meter.forget("stream")
        await asyncio.sleep(60)
    assert seen == [
        (),
        ("load.speculation",),
        ("load.speculation", "load.partials"),
        ("load.speculation", "load.partials", "load.turn_prediction"),
        ("load.speculation", "load.partials", "load.turn_prediction", "load.new_calls"),
    ]
    assert board.degraded == ()
    assert told == [Admitted()]
    assert not any(watch.sheds(step) for step in LoadStep)
    after = steps("taken"), steps("undone")
    assert [[now - then for now, then in zip(*pair, strict=True)] for pair in zip(after, before, strict=True)] == [
        [1, 1, 1, 1],
        [1, 1, 1, 1],
    ]
    assert taken() == 0


async def test_a_calm_machine_sheds_nothing():
    board = DegradationBoard()
    watch = LoadWatch(LoadMeter(), board)
    async with watch.running(AdmissionDesk(CallCapacity(2, {"cores": 2}))):
        await asyncio.sleep(60)
    assert board.degraded == ()
    assert not watch.sheds(LoadStep.SPECULATION)
