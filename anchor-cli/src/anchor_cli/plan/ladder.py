"""Giving things up, in order, until the rest fits the card."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from anchor_cli.plan.budget import Card, Choice, Model, Runtime, ServiceMemory, memory_of


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to give up. Steps of one service add up; a number is only ever lowered."""

    service: str
    # Fields of the service's `Choice`.
    set: Mapping[str, str | int]
    tells: str

    def applied(self, wishes: Mapping[str, Choice]) -> dict[str, Choice]:
        """`wishes` after this step."""
        before = wishes[self.service]
        fields: dict[str, Any] = {
            field: min(value, getattr(before, field)) if isinstance(value, int) else value
            for field, value in self.set.items()
        }
        return {**wishes, self.service: replace(before, **fields)}

    def supersedes(self, other: Step) -> bool:
        """Whether nothing is left of `other` after this."""
        return self.service == other.service and self.set.keys() >= other.set.keys()


@dataclass(frozen=True, slots=True)
class Plan:
    """How a card is shared out."""

    card: Card
    services: tuple[ServiceMemory, ...]
    given_up: tuple[str, ...]
    # Services whose weights this card cannot compute with.
    impossible: tuple[str, ...]

    @property
    def total_bytes(self) -> int:
        return sum(service.total_bytes for service in self.services)

    @property
    def spare_bytes(self) -> int:
        """What is left of the budget, beside the reserve; negative where it does not fit."""
        return self.card.budget_bytes - self.total_bytes

    @property
    def fits(self) -> bool:
        return self.spare_bytes >= 0 and not self.impossible

    def service(self, name: str) -> ServiceMemory:
        return next(service for service in self.services if service.service == name)


@dataclass(frozen=True, slots=True)
class Planner:
    """Finds a plan for a card."""

    models: Mapping[str, Model]
    runtimes: Mapping[str, Runtime]
    wishes: Mapping[str, Choice]
    steps: Sequence[Step]

    def plan(self, card: Card) -> Plan:
        """The plan that gives up least, or the smallest there is where not even that fits."""
        taken: list[Step] = []
        plan = self._with(card, taken)
        for step in self.steps:
            if plan.fits:
                break
            if not self._changes(taken, step):
                continue
            taken.append(step)
            plan = self._with(card, taken)
        return self._given_back(card, taken, plan) if plan.fits else plan

    def _given_back(self, card: Card, taken: list[Step], plan: Plan) -> Plan:
        """The same without the steps that turn out not to be needed, the most costly being tried first."""
        for step in reversed(list(taken)):
            without = [other for other in taken if other is not step]
            candidate = self._with(card, without)
            if candidate.fits:
                taken, plan = without, candidate
        return plan

    def _changes(self, taken: Iterable[Step], step: Step) -> bool:
        choices = self._choices(taken)
        return step.applied(choices) != choices

    def _choices(self, taken: Iterable[Step]) -> dict[str, Choice]:
        choices = dict(self.wishes)
        for step in taken:
            choices = step.applied(choices)
        return choices

    def _with(self, card: Card, taken: Sequence[Step]) -> Plan:
        choices = self._choices(taken)
        services = tuple(
            memory_of(name, choice, self.models[choice.model], self.runtimes) for name, choice in choices.items()
        )
        return Plan(card, services, _told(taken), self._impossible(card, choices))

    def _impossible(self, card: Card, choices: Mapping[str, Choice]) -> tuple[str, ...]:
        return tuple(
            name
            for name, choice in choices.items()
            if not card.computes(choice.weights, self.runtimes[self.models[choice.model].runtime])
        )


def _told(taken: Sequence[Step]) -> tuple[str, ...]:
    """What was given up, without what a later step made meaningless."""
    return tuple(
        step.tells
        for index, step in enumerate(taken)
        if not any(later.supersedes(step) for later in taken[index + 1 :])
    )
