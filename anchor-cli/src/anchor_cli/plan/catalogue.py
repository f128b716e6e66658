"""The cards, models and steps that the data files beside this one name."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from pydantic import TypeAdapter
from service_kit.errors import NotFound

from anchor_cli.plan.budget import Card, Choice, Model, Runtime
from anchor_cli.plan.ladder import Step


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All that is known before anybody asks."""

    cards: Mapping[str, Card]
    models: Mapping[str, Model]
    runtimes: Mapping[str, Runtime]
    wishes: Mapping[str, Choice]
    steps: tuple[Step, ...]

    def card(self, name: str) -> Card:
        """Raises `NotFound` (`plan.unknown_card`)."""
        if name not in self.cards:
            raise NotFound("plan.unknown_card", f"no card is called {name}; known: {', '.join(self.cards)}, detect")
        return self.cards[name]

    def model(self, name: str) -> Model:
        """Raises `NotFound` (`plan.unknown_model`)."""
        if name not in self.models:
            raise NotFound("plan.unknown_model", f"no model is called {name}; known: {', '.join(self.models)}")
        return self.models[name]


def read_catalogue() -> Catalogue:
    """The catalogue that comes with this package."""
    models, ladder = _table("models.toml"), _table("ladder.toml")
    return Catalogue(
        cards=TypeAdapter(dict[str, Card]).validate_python(_named(_table("cards.toml"))),
        models=TypeAdapter(dict[str, Model]).validate_python(_named(models["models"])),
        runtimes=TypeAdapter(dict[str, Runtime]).validate_python(models["runtimes"]),
        wishes=TypeAdapter(dict[str, Choice]).validate_python(ladder["wishes"]),
        steps=TypeAdapter(tuple[Step, ...]).validate_python(ladder["steps"]),
    )


def _table(name: str) -> dict[str, Any]:
    return tomllib.loads(files("anchor_cli.plan").joinpath(name).read_text("utf-8"))


def _named(table: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {name: {"name": name, **entry} for name, entry in table.items()}
