"""What somebody wants other than the catalogue's own wishes: a model, a precision, a longer context."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from service_kit.errors import InvalidRequest

from anchor_cli.plan.budget import Model
from anchor_cli.plan.catalogue import Catalogue
from anchor_cli.plan.ladder import Planner
from anchor_cli.plan.model_file import read_model


def planner_for(catalogue: Catalogue, models: Iterable[str], context_tokens: int | None) -> Planner:
    """A planner for the catalogue's wishes, changed by `models` (`service=name`, `=path`, `=name@weights`).

    What is asked for by name is not given up; how many it serves at a time, its context and its cache may be.
    Raises `InvalidRequest` (`plan.bad_wish`, `plan.unreadable_model`), and `NotFound` (`plan.unknown_model`).
    """
    planner = Planner(catalogue.models, catalogue.runtimes, catalogue.wishes, catalogue.steps)
    for wish in models:
        service, equals, wanted = wish.partition("=")
        if not equals or service not in catalogue.wishes:
            known = ", ".join(catalogue.wishes)
            raise InvalidRequest("plan.bad_wish", f"{wish} is not service=model, with one of {known}")
        planner = _with_model(planner, catalogue, service, wanted)
    if context_tokens is None:
        return planner
    llm = planner.wishes["llm"]
    trained = planner.models[llm.model].trained_context_tokens
    if trained and context_tokens > trained:
        raise InvalidRequest("plan.bad_wish", f"{llm.model} was trained for {trained} tokens, not {context_tokens}")
    return replace(planner, wishes={**planner.wishes, "llm": replace(llm, context_tokens=context_tokens)})


def _with_model(planner: Planner, catalogue: Catalogue, service: str, wanted: str) -> Planner:
    name, _, weights = wanted.partition("@")
    path = Path(name)
    model = read_model(service, path) if path.suffix in {".json", ".gguf"} else catalogue.model(name)
    if weights and weights not in model.precisions:
        raise InvalidRequest("plan.bad_wish", f"{model.name} is not to be had as {weights}: {model.precisions}")
    choice = replace(planner.wishes[service], model=model.name, weights=weights or model.precisions[0])
    if model.trained_context_tokens:
        choice = replace(choice, context_tokens=min(choice.context_tokens, model.trained_context_tokens))
    steps = [step for step in planner.steps if step.service != service or _leaves(model, weights, step.set)]
    return Planner({**planner.models, model.name: model}, planner.runtimes, {**planner.wishes, service: choice}, steps)


def _leaves(model: Model, weights: str, fields: Mapping[str, str | int]) -> bool:
    """Whether a step that sets `fields` leaves what was asked for as it is."""
    if "model" in fields:
        return False
    return "weights" not in fields or (not weights and fields["weights"] in model.precisions)
