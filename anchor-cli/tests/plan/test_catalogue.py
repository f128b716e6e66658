"""Lookups in the catalogue."""

from __future__ import annotations

import pytest
from anchor_cli.plan.catalogue import read_catalogue
from anchor_cli.plan.overrides import build_planner
from service_kit.errors import NotFound

CATALOGUE = read_catalogue()


def test_unknown_names_are_rejected_with_known_ones() -> None:
    with pytest.raises(NotFound, match="rtx4090"):
        CATALOGUE.card("voodoo2")
    with pytest.raises(NotFound, match="llama-8b"):
        build_planner(CATALOGUE, ["llm=hal"], None)
