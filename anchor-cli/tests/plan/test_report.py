"""The plan as JSON."""

from __future__ import annotations

import json

from anchor_cli.plan.catalogue import read_catalogue
from anchor_cli.plan.env_file import (
    plan_settings,
)
from anchor_cli.plan.ladder import Planner
from anchor_cli.plan.report import plan_as_json

CATALOGUE = read_catalogue()


def test_json_has_every_figure_and_its_basis(planner: Planner) -> None:
    plan = planner.plan(CATALOGUE.card("t4"))
    found = json.loads(json.dumps(plan_as_json(plan, plan_settings(plan, planner.models))))
    assert sum(service["weights_bytes"] for service in found["services"]) > 0
    assert {basis for service in found["services"] for basis in service["basis"]} == {"computed", "assumed"}
    assert found["given_up"]
