"""Overrides of the catalogue's preferred choices: a model, a precision, a longer context."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from service_kit.errors import InvalidRequest

from anchor_cli.plan.budget import Model
from anchor_cli.plan.catalogue import Catalogue
from anchor_cli.plan.ladder import Planner
from anchor_cli.plan.model_file import read_model


def build_planner(catalogue: Catalogue, models: Iterable[str], context_tokens: int | None) -> Planner:
    """A planner with the catalogue's preferred choices, overridden by `models` (`service=name[@weights]` or `=path`).

    An overridden model or precision is never reduced; its slots, context and cache may be. Raises `InvalidRequest`
    (`plan.bad_wish`, `plan.unreadable_model`), and `NotFound` (`plan.unknown_model`).
    """
    planner = Planner(catalogue.models, catalogue.runtimes, catalogue.preferred, catalogue.steps)
    for override in models:
        service, equals, model = override.partition("=")
        if not equals or service not in catalogue.preferred:
            known = ", ".join(catalogue.preferred)
            raise InvalidRequest("plan.bad_wish", f"{override} is not service=model; services: {known}")
        planner = _override_model(planner, catalogue, service, model)
    if context_tokens is None:
        return planner
    llm = planner.preferred["llm"]
    trained = planner.models[llm.model].trained_context_tokens
    if trained and context_tokens > trained:
        raise InvalidRequest("plan.bad_wish", f"{llm.model} was trained for {trained} tokens, not {context_tokens}")
    return replace(planner, preferred={**planner.preferred, "llm": replace(llm, context_tokens=context_tokens)})


def _override_model(planner: Planner, catalogue: Catalogue, service: str, override: str) -> Planner:
    name, _, weights = override.partition("@")
    path = Path(name)
    model = read_model(service, path) if path.suffix in {".json", ".gguf"} else catalogue.model(name)
    if weights and weights not in model.precisions:
        raise InvalidRequest("plan.bad_wish", f"{model.name} is not available as {weights}: {model.precisions}")
    choice = replace(planner.preferred[service], model=model.name, weights=weights or model.precisions[0])
    if model.trained_context_tokens:
        choice = replace(choice, context_tokens=min(choice.context_tokens, model.trained_context_tokens))
    steps = [step for step in planner.steps if step.service != service or _preserves(model, weights, step.set)]
    return Planner(
        {**planner.models, model.name: model}, planner.runtimes, {**planner.preferred, service: choice}, steps
    )


def _preserves(model: Model, weights: str, fields: Mapping[str, str | int]) -> bool:
    """Whether a step that sets `fields` leaves the override unchanged."""
    if "model" in fields:
        return False
    return "weights" not in fields or (not weights and fields["weights"] in model.precisions)
