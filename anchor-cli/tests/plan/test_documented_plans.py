"""The figures of docs/memory-plan.md are those of the planner."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from anchor_cli.plan.budget import GIB
from anchor_cli.plan.catalogue import read_catalogue
from anchor_cli.plan.env_file import plan_settings
from anchor_cli.plan.ladder import MemoryPlan, Planner

PAGE = (Path(__file__).parents[3] / "docs" / "memory-plan.md").read_text("utf-8")
CARDS = read_catalogue().cards
# Names of cards in the table of plans.
CARD_NAMES = {
    "RTX 6000 Ada": "rtx6000-ada",
    "A6000": "a6000",
    "L40S": "l40s",
    "RTX 5090": "rtx5090",
    "RTX 4090": "rtx4090",
    "T4": "t4",
}


def table_rows(heading: str, page: str = PAGE) -> list[list[str]]:
    """The cells of all table rows under `heading`, without titles."""
    section = re.split(r"^## ", page.split(f"## {heading}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows if not set("".join(row)) <= {"-"}]


def gib(amount_bytes: float) -> str:
    return f"{amount_bytes / GIB:.2f}"


@pytest.fixture
def plan(planner: Planner) -> MemoryPlan:
    return planner.plan(CARDS["rtx6000-ada"])


def test_plans_of_all_cards(planner: Planner):
    rows = {name: row for row in table_rows("Plans") for name in row[0].split(", ")}
    for title, name in CARD_NAMES.items():
        plan = planner.plan(CARDS[name])
        figures = [f"{amount_bytes / GIB:.1f}" for amount_bytes in (plan.card.budget_bytes, plan.total_bytes)]
        assert rows[title][1:3] == figures, title
    assert set(CARD_NAMES.values()) == set(CARDS)


def test_services_of_the_example(plan: MemoryPlan):
    rows = {row[0]: row for row in table_rows("Example: RTX 6000 Ada") if len(row) == 7}
    for service in plan.services:
        choice = service.choice
        figures = [figure.bytes for figure in (service.weights, service.kv_cache, service.work, service.total)]
        assert rows[service.service][1].endswith(choice.weights)
        assert rows[service.service][2:] == [
            f"{choice.slots} × {choice.context_tokens}",
            *map(gib, figures),
        ]


def test_sum_of_the_example(plan: MemoryPlan, planner: Planner):
    card = plan.card
    limit = plan_settings(plan, planner.models)["GPU_MEMORY_LIMIT_GB"]
    rows = [row for row in table_rows("Example: RTX 6000 Ada") if len(row) == 2 and row[0]]
    figures = [card.total_bytes, card.driver_gib * GIB, card.reserve_gib * GIB, card.budget_bytes]
    figures += [plan.total_bytes, plan.spare_bytes]
    assert [row[1] for row in rows] == [gib(figure) for figure in figures]
    assert f"rounded down to {limit}" in rows[3][0]


def test_events_of_the_example(plan: MemoryPlan):
    kept = plan.card.total_bytes - plan.card.driver_gib * GIB - plan.total_bytes
    model = plan.service("llm").total_bytes
    rows = {row[0]: row[1] for row in table_rows("Example: RTX 6000 Ada") if len(row) == 3}
    minutes = (kept - 0.75 * GIB) / 100e6
    assert rows == {
        "what happens": "stays free",
        "all services busy": gib(kept),
        "the language model is parked": gib(kept + model),
        "another process takes 3 GB (2.79 GiB)": gib(kept - 3e9),
        "a service leaks 100 MB a minute": f"0.75 after {minutes:.0f} min",
        "another process takes 4 GiB": gib(kept - 4 * GIB),
        "the same, the language model parked": gib(kept + model - 4 * GIB),
    }
