"""Plans of `anchor plan` under the GPU monitor's policy and the degradation ladder, for hours of a virtual clock."""

from __future__ import annotations

import asyncio
import os
from itertools import pairwise
from pathlib import Path

import pytest
from anchor_cli.plan.catalogue import read_catalogue
from anchor_cli.plan.overrides import build_planner
from gpu_monitor.findings.pressure import Headroom, PressureLevel, margin_of, next_level
from planned_card import DRIVER_BYTES, GIB, MIB, PlannedCard

CARDS = read_catalogue().cards
# `make test PLANNED_CARDS=all` plays every card; otherwise the reference, and the one with least left.
NAMES = list(CARDS) if os.environ.get("PLANNED_CARDS") == "all" else ["rtx6000-ada", "rtx4090"]
HOUR_S = 3600
FIGURES = pytest.mark.parametrize("driver_figures", [True, False], ids=["driver", "self_reports"])
ORDER = ("short_contexts", "parked_model", "text_only")


def planned_card(name: str, folder: Path, *, driver_figures: bool = True, park_all_after_s: float = 0) -> PlannedCard:
    return PlannedCard(CARDS[name], folder, driver_figures=driver_figures, park_all_after_s=park_all_after_s)


def assert_full_service(card: PlannedCard) -> None:
    assert {steps for _, steps in card.observed.steps} == {()}
    assert {level for _, level in card.observed.levels} == {PressureLevel.NONE}


@FIGURES
@pytest.mark.parametrize("name", NAMES)
async def test_a_busy_card_with_its_plan_stays_in_full_service(name: str, driver_figures: bool, tmp_path: Path):
    card = planned_card(name, tmp_path, driver_figures=driver_figures)
    async with card.running():
        card.reading_interval_s = 5.0
        await card.converse(2 * HOUR_S)
    assert_full_service(card)


@FIGURES
@pytest.mark.parametrize("name", NAMES)
async def test_an_idle_card_with_its_plan_stays_in_full_service(name: str, driver_figures: bool, tmp_path: Path):
    card = planned_card(name, tmp_path, driver_figures=driver_figures)
    async with card.running():
        card.reading_interval_s = 5.0
        await asyncio.sleep(3 * HOUR_S)
        assert not any(service.parked for service in card.services.values())
    assert_full_service(card)


@pytest.mark.parametrize("name", NAMES)
async def test_engines_that_park_without_sessions_wake_to_full_service(name: str, tmp_path: Path):
    card = planned_card(name, tmp_path, park_all_after_s=600)
    async with card.running():
        card.reading_interval_s = 5.0
        for hour in range(1, 4):
            await asyncio.sleep(1800)
            assert all(service.parked for service in card.services.values() if service.on_card)
            await card.converse(hour * HOUR_S)
    assert_full_service(card)


def steps_between(card: PlannedCard, since_s: float = 0) -> list[tuple[str, ...]]:
    return [steps for at_s, steps in card.observed.steps if at_s >= since_s]


async def leak(card: PlannedCard, engine: str, bytes_per_minute: int) -> None:
    """Leak into the service of `engine` while it is awake, until cancelled."""
    service = card.services[engine]
    while True:
        await asyncio.sleep(6)
        if not service.parked:
            service.leaked_bytes += min(bytes_per_minute // 10, card.free_bytes)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("rtx4090", "t4")])
async def test_a_leaking_voice_climbs_the_ladder_in_order_and_comes_back(name: str, tmp_path: Path):
    """The last step parks the voice, which frees what has leaked."""
    card = planned_card(name, tmp_path)
    async with card.running():
        leaking = asyncio.create_task(leak(card, "tts", 100_000_000))
        await card.converse(2 * HOUR_S)
        leaking.cancel()
        await asyncio.sleep(600)
    assert "tts-service" in card.observed.over_plan
    assert card.observed.highest() == ORDER
    assert card.steps == ()
    for before, after in pairwise(steps_between(card)):
        assert after in (before[:-1], (*before, *ORDER[len(before) : len(before) + 1])), "one step at a time, in order"
    degraded_s = sum(until_s - at_s for (at_s, steps), (until_s, _) in pairwise(card.observed.steps) if steps)
    # 100 MB a minute fill half of the reserve in eight minutes; the climb and the way back take two and a half.
    assert degraded_s < 0.25 * 2 * HOUR_S


async def test_a_slow_leak_is_found_before_it_degrades_anything(tmp_path: Path):
    card = planned_card("rtx6000-ada", tmp_path)
    async with card.running():
        leaking = asyncio.create_task(leak(card, "tts", 20_000_000))
        await card.converse(2 * HOUR_S)
        leaking.cancel()
    assert card.observed.leaking == {"tts-service"}
    assert_full_service(card)


@pytest.mark.parametrize("name", NAMES)
async def test_a_leaking_language_model_is_unloaded_between_turns(name: str, tmp_path: Path):
    card = planned_card(name, tmp_path)
    async with card.running():
        leaking = asyncio.create_task(leak(card, "llm", 100_000_000))
        await asyncio.sleep(2 * HOUR_S)
        leaking.cancel()
    assert "ollama" in card.observed.over_plan
    assert card.observed.highest() == ORDER[:2]
    assert card.services["llm"].leaked_bytes == 0


@FIGURES
@pytest.mark.parametrize("busy", [True, False], ids=["busy", "idle"])
@pytest.mark.parametrize("name", NAMES)
async def test_another_process_of_3_gb_degrades_once_and_recovers(
    name: str, busy: bool, driver_figures: bool, tmp_path: Path
):
    card = planned_card(name, tmp_path, driver_figures=driver_figures)
    wanted_bytes = 3_000_000_000
    planned_bytes = sum(service.planned.total_bytes for service in card.services.values())
    left_bytes = card.card.total_bytes - DRIVER_BYTES - planned_bytes - wanted_bytes

    async def other_process() -> float:
        await asyncio.sleep(HOUR_S / 6)
        for _ in range(HOUR_S // 20):
            card.take_foreign(wanted_bytes)
            await asyncio.sleep(10)
        card.foreign_bytes = 0
        return card.now_s()

    async with card.running():
        other = asyncio.create_task(other_process())
        if busy:
            await card.converse(HOUR_S)
        else:
            await asyncio.sleep(HOUR_S)
        freed_s = await other
    assert card.steps == ()
    assert not any(service.parked for service in card.services.values()) or not busy
    if left_bytes > 0.75 * GIB:
        assert_full_service(card)
        return
    changes = steps_between(card)
    assert changes[0] == changes[-1] == ()
    climbed = changes.index(card.observed.highest())
    assert climbed > 0
    # Up once and down once: no step is taken again after it was undone.
    assert [len(steps) for steps in changes] == [*range(climbed + 1), *reversed(range(climbed))]
    # Each step is undone 30 s after the one above it.
    assert card.observed.steps[-1][0] < freed_s + 30 * climbed + 10


def test_pressure_levels_of_the_documented_example(tmp_path: Path):
    """The last table of the example in docs/memory-plan.md: what happens, GiB that stay free, and the level."""
    page = (Path(__file__).parents[2] / "docs" / "memory-plan.md").read_text("utf-8")
    example = page.partition("## Example: RTX 6000 Ada")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in example.splitlines()]
    events = [row for row in rows if len(row) == 3 and row[1][:1].isdigit()]
    planner = build_planner(read_catalogue(), [], None)
    plan = planner.plan(CARDS["rtx6000-ada"])
    margin_bytes = margin_of(plan.card.total_bytes, plan.total_bytes)
    levels: list[str] = []
    for event, free, _ in events:
        # A leak is told by the threshold itself, at which pressure is about to begin.
        awake_bytes = int(float(free.split()[0]) * GIB) - (1 if "after" in free else 0)
        parked_bytes = plan.service("llm").total_bytes if "parked" in event else 0
        levels.append(
            next_level(PressureLevel.NONE, Headroom(awake_bytes, awake_bytes - parked_bytes, margin_bytes)).name
        )
    assert len(events) == 6
    assert [row[2].partition(":")[0] for row in events] == [level.lower() for level in levels]


async def test_a_card_that_leaves_nothing_free_is_reported_before_it_overflows(tmp_path: Path):
    """The whole reserve is taken by small growth of all services together."""
    card = planned_card("rtx4090", tmp_path)
    async with card.running():
        while card.free_bytes > 700 * MIB:
            for service in card.services.values():
                service.leaked_bytes += 10 * MIB if service.on_card else 0
            await asyncio.sleep(10)
        await asyncio.sleep(10)
    assert card.observed.levels[-1][1] in (PressureLevel.HIGH, PressureLevel.ELEVATED)
    assert card.observed.highest()[:1] == ORDER[:1]
