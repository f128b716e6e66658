"""The catalogue of cards, models and ladder steps, read from this package's TOML files."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from pydantic import TypeAdapter
from service_kit.errors import NotFound

from anchor_cli.plan.budget import Card, Model, ModelChoice, Runtime
from anchor_cli.plan.ladder import LadderStep


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Known cards, models and runtimes, the preferred choice per service, and the steps of the ladder."""

    cards: Mapping[str, Card]
    models: Mapping[str, Model]
    runtimes: Mapping[str, Runtime]
    preferred: Mapping[str, ModelChoice]
    steps: tuple[LadderStep, ...]

    def card(self, name: str) -> Card:
        """The card `name`. Raises `NotFound` (`plan.unknown_card`)."""
        if name not in self.cards:
            raise NotFound("plan.unknown_card", f"unknown card {name}; known: {', '.join(self.cards)}, detect")
        return self.cards[name]

    def model(self, name: str) -> Model:
        """The model `name`. Raises `NotFound` (`plan.unknown_model`)."""
        if name not in self.models:
            raise NotFound("plan.unknown_model", f"unknown model {name}; known: {', '.join(self.models)}")
        return self.models[name]


def read_catalogue() -> Catalogue:
    """Read the catalogue of this package."""
    models, ladder = _table("models.toml"), _table("ladder.toml")
    return Catalogue(
        cards=TypeAdapter(dict[str, Card]).validate_python(_named(_table("cards.toml"))),
        models=TypeAdapter(dict[str, Model]).validate_python(_named(models["models"])),
        runtimes=TypeAdapter(dict[str, Runtime]).validate_python(models["runtimes"]),
        preferred=TypeAdapter(dict[str, ModelChoice]).validate_python(ladder["preferred"]),
        steps=TypeAdapter(tuple[LadderStep, ...]).validate_python(ladder["steps"]),
    )


def _table(name: str) -> dict[str, Any]:
    return tomllib.loads(files("anchor_cli.plan").joinpath(name).read_text("utf-8"))


def _named(table: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {name: {"name": name, **entry} for name, entry in table.items()}
