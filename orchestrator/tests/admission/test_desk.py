"""The admission desk on a virtual clock: places that become free by themselves, and what is counted."""

from __future__ import annotations

import asyncio

import pytest
from orchestrator.admission.capacity import CallCapacity
from orchestrator.admission.desk import AdmissionDesk, DeskPlace
from orchestrator.admission.policy import AdmissionRules
from orchestrator.conversation.model.ports import Admitted, PlaceStatus, Refused, Waiting
from prometheus_client import REGISTRY
from service_kit.errors import AtCapacity

pytestmark = pytest.mark.virtual_clock

RULES = AdmissionRules(keep_s=10, max_waiting=1, first_hold_s=40)
ADMITTED = Admitted()


def capacity(places: int) -> CallCapacity:
    return CallCapacity(places, {"cores": places})


class Caller:
    """A session that asks for a place, and what it was told."""

    def __init__(self, desk: AdmissionDesk) -> None:
        self.told: list[PlaceStatus] = []
        self.place: DeskPlace = desk.open(self.told.append)

    def asks(self, *, waits: bool = True) -> PlaceStatus:
        status = self.place.request(waits=waits)
        self.place.set_in_turn(status == ADMITTED)
        return status


def counted(outcome: str) -> float:
    return REGISTRY.get_sample_value("anchor_admissions_total", {"outcome": outcome}) or 0


async def test_silent_holder_gives_way_to_who_waits():
    desk = AdmissionDesk(capacity(1), RULES)
    ann, ben = Caller(desk), Caller(desk)
    assert ann.asks() == ADMITTED
    assert ben.asks() == Waiting(1, 40)
    await asyncio.sleep(60)
    assert ben.told == [], "ann's turn takes long"
    ann.place.set_in_turn(False)
    await asyncio.sleep(9.9)
    assert ben.told == []
    await asyncio.sleep(0.2)
    assert ben.told == [ADMITTED]
    assert desk.describe() == {"places": 1, "limited_by": "cores", "limits": {"cores": 1}, "held": 1, "waiting": 0}


async def test_caller_that_leaves_makes_room_at_once():
    desk = AdmissionDesk(capacity(1), RULES)
    ann, ben = Caller(desk), Caller(desk)
    ann.asks()
    ben.asks()
    await asyncio.sleep(5)
    ann.place.leave()
    assert ben.told == [ADMITTED]
    waited = REGISTRY.get_sample_value("anchor_queue_seconds_sum")
    assert waited is not None
    assert waited >= 5


async def test_waiting_caller_that_leaves_is_told_nothing():
    desk = AdmissionDesk(capacity(1), RULES)
    ann, ben = Caller(desk), Caller(desk)
    ann.asks()
    ben.asks()
    ben.place.leave()
    ann.place.leave()
    await asyncio.sleep(60)
    assert ben.told == []
    assert desk.describe()["waiting"] == 0


async def test_full_queue_and_callers_that_do_not_wait_are_refused():
    desk = AdmissionDesk(capacity(1), RULES)
    before = counted("admitted"), counted("waiting"), counted("refused")
    ann, ben, cleo = Caller(desk), Caller(desk), Caller(desk)
    assert ann.asks() == ADMITTED
    assert ben.asks() == Waiting(1, 40)
    assert ben.asks() == Waiting(1, 40)
    assert cleo.asks(waits=False) == Refused(2, 80)
    assert cleo.asks() == Refused(2, 80)
    with pytest.raises(AtCapacity) as refused:
        desk.require_room()
    assert (refused.value.code, refused.value.retry_after_s) == ("admission.at_capacity", 80)
    assert "number 2" in refused.value.message
    after = counted("admitted"), counted("waiting"), counted("refused")
    assert [now - then for now, then in zip(after, before, strict=True)] == [1, 1, 3]


async def test_work_without_a_session_holds_a_place():
    desk = AdmissionDesk(capacity(1), RULES)
    ann = Caller(desk)
    with desk.hold():
        assert ann.asks(waits=False) == Refused(1, 40)
        with pytest.raises(AtCapacity), desk.hold():
            pytest.fail("held twice")
    desk.require_room()
    assert ann.asks() == ADMITTED


async def test_more_places_admit_who_waits_and_a_closed_desk_nobody():
    desk = AdmissionDesk(capacity(1), RULES)
    ann, ben, cleo = Caller(desk), Caller(desk), Caller(desk)
    ann.asks()
    ben.asks()
    desk.set_open(False)
    desk.set_capacity(capacity(3))
    assert ben.told == []
    desk.set_open(True)
    assert ben.told == [ADMITTED]
    assert cleo.asks() == ADMITTED
