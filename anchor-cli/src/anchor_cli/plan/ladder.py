"""Applies reductions in order until the plan fits the card."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from anchor_cli.plan.budget import Card, Model, ModelChoice, Runtime, ServiceMemory, estimate_memory


@dataclass(frozen=True, slots=True)
class LadderStep:
    """One reduction. Steps of one service accumulate; a number can only be lowered."""

    service: str
    # New values for fields of the service's `ModelChoice`.
    set: Mapping[str, str | int]
    description: str

    def apply_to(self, choices: Mapping[str, ModelChoice]) -> dict[str, ModelChoice]:
        """`choices` after this step."""
        before = choices[self.service]
        fields: dict[str, Any] = {
            field: min(value, getattr(before, field)) if isinstance(value, int) else value
            for field, value in self.set.items()
        }
        return {**choices, self.service: replace(before, **fields)}

    def supersedes(self, other: LadderStep) -> bool:
        """Whether this step overrides all of `other`."""
        return self.service == other.service and self.set.keys() >= other.set.keys()


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """The division of a card's memory."""

    card: Card
    services: tuple[ServiceMemory, ...]
    # Descriptions of the applied steps, in order.
    given_up: tuple[str, ...]
    # Services whose precision this card does not support.
    impossible: tuple[str, ...]

    @property
    def total_bytes(self) -> int:
        return sum(service.total_bytes for service in self.services)

    @property
    def spare_bytes(self) -> int:
        """Unused part of the budget; negative when the plan does not fit."""
        return self.card.budget_bytes - self.total_bytes

    @property
    def fits(self) -> bool:
        return self.spare_bytes >= 0 and not self.impossible

    def service(self, name: str) -> ServiceMemory:
        return next(service for service in self.services if service.service == name)


@dataclass(frozen=True, slots=True)
class Planner:
    """Finds the plan with the fewest reductions for a card."""

    models: Mapping[str, Model]
    runtimes: Mapping[str, Runtime]
    preferred: Mapping[str, ModelChoice]
    steps: Sequence[LadderStep]

    def plan(self, card: Card) -> MemoryPlan:
        """The first plan that fits, or the smallest one when none fits."""
        taken: list[LadderStep] = []
        plan = self._plan_with(card, taken)
        for step in self.steps:
            if plan.fits:
                break
            if not self._has_effect(taken, step):
                continue
            taken.append(step)
            plan = self._plan_with(card, taken)
        return self._restore_unneeded(card, taken, plan) if plan.fits else plan

    def _restore_unneeded(self, card: Card, taken: list[LadderStep], plan: MemoryPlan) -> MemoryPlan:
        """`plan` without the steps that proved unnecessary, trying the latest step first."""
        for step in reversed(list(taken)):
            without = [other for other in taken if other is not step]
            candidate = self._plan_with(card, without)
            if candidate.fits:
                taken, plan = without, candidate
        return plan

    def _has_effect(self, taken: Iterable[LadderStep], step: LadderStep) -> bool:
        choices = self._choices(taken)
        return step.apply_to(choices) != choices

    def _choices(self, taken: Iterable[LadderStep]) -> dict[str, ModelChoice]:
        choices = dict(self.preferred)
        for step in taken:
            choices = step.apply_to(choices)
        return choices

    def _plan_with(self, card: Card, taken: Sequence[LadderStep]) -> MemoryPlan:
        choices = self._choices(taken)
        services = tuple(
            estimate_memory(name, choice, self.models[choice.model], self.runtimes) for name, choice in choices.items()
        )
        return MemoryPlan(card, services, _descriptions(taken), self._impossible(card, choices))

    def _impossible(self, card: Card, choices: Mapping[str, ModelChoice]) -> tuple[str, ...]:
        return tuple(
            name
            for name, choice in choices.items()
            if not card.supports(choice.weights, self.runtimes[self.models[choice.model].runtime])
        )


def _descriptions(taken: Sequence[LadderStep]) -> tuple[str, ...]:
    """Descriptions of the applied steps, without those that a later step supersedes."""
    return tuple(
        step.description
        for index, step in enumerate(taken)
        if not any(later.supersedes(step) for later in taken[index + 1 :])
    )
