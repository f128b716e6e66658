"""Renders a plan as a table, and as JSON, which the GPU monitor reads as the memory plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from anchor_cli.plan.budget import GIB, Basis, Card, Figure, Model
from anchor_cli.plan.ladder import MemoryPlan

MARKS = {Basis.COMPUTED: "", Basis.ASSUMED: "~", Basis.READ: "*", Basis.MEASURED: "="}
COLUMNS = ("weights", "cache", "work", "total")


def render_plan(plan: MemoryPlan, models: Mapping[str, Model], settings: Mapping[str, str]) -> RenderableType:
    """The table, the verdict, the reductions, and the resulting settings."""
    parts: list[RenderableType] = [_table(plan, models), _card_line(plan.card), _verdict(plan)]
    if plan.given_up:
        parts.append(Text("given up, in this order:", "bold"))
        parts += [Text(f"  - {description}") for description in plan.given_up]
    notes = [models[service.choice.model].note for service in plan.services]
    parts += [Text(f"note: {note}", "yellow") for note in notes if note]
    if plan.fits:
        parts.append(Text("settings:", "bold"))
        # One line each, however narrow the terminal, for copying.
        parts += [Text(f"  {name}={value}", no_wrap=True, overflow="ignore") for name, value in settings.items()]
    parts.append(
        Text(
            "GiB; unmarked computed from the model's shape, ~ assumed, * read from its file. serves: concurrent slots x"
            " context tokens per slot, and the cache's type. work: activations, scratch memory, graphs, CUDA context",
            "dim",
        )
    )
    return Group(*parts)


def plan_as_json(plan: MemoryPlan, settings: Mapping[str, str]) -> dict[str, Any]:
    """The plan with every figure in bytes and its basis."""
    return {
        "gpu": plan.card.name,
        "title": plan.card.title,
        "memory_bytes": plan.card.total_bytes,
        "memory_basis": plan.card.basis,
        "budget_bytes": plan.card.budget_bytes,
        "total_bytes": plan.total_bytes,
        "spare_bytes": plan.spare_bytes,
        "fits": plan.fits,
        "given_up": list(plan.given_up),
        "services": [
            {
                "service": _container_name(service.service),
                "model": service.choice.model,
                "precision": service.choice.weights,
                "slots": service.choice.slots,
                "context_tokens": service.choice.context_tokens,
                "cache": service.choice.cache,
                "weights_bytes": service.weights.bytes,
                "kv_cache_bytes": service.kv_cache.bytes,
                "activations_bytes": service.activations.bytes,
                "context_bytes": service.context.bytes,
                "basis": [figure.basis for figure in service.figures],
            }
            for service in plan.services
        ],
        "settings": dict(settings),
    }


def _container_name(service: str) -> str:
    return "ollama" if service == "llm" else f"{service}-service"


def _table(plan: MemoryPlan, models: Mapping[str, Model]) -> Table:
    """Figures are never wrapped on 80 columns; only the model's title wraps."""
    table = Table(title=f"Memory of {plan.card.title}")
    table.add_column("", no_wrap=True)
    table.add_column("model", min_width=20)
    table.add_column("serves", no_wrap=True)
    for column in COLUMNS:
        table.add_column(column, justify="right", no_wrap=True)
    for service in plan.services:
        choice = service.choice
        on_card = service.total_bytes > 0
        table.add_row(
            service.service,
            models[choice.model].title + (f", {choice.weights}" if on_card else ""),
            f"{choice.slots} x {choice.context_tokens} {choice.cache}" if on_card else "",
            *(_gib(figure) for figure in (service.weights, service.kv_cache, service.work, service.total)),
        )
    table.add_section()
    table.add_row("all", *[""] * (len(table.columns) - 2), f"{plan.total_bytes / GIB:.2f}")
    return table


def _gib(figure: Figure) -> str:
    return f"{MARKS[figure.basis]}{figure.bytes / GIB:.2f}" if figure.bytes else "-"


def _card_line(card: Card) -> Text:
    source = "measured" if card.basis is Basis.MEASURED else "data sheet"
    return Text(
        f"{card.total_bytes / GIB:.1f} GiB ({source}), minus {card.driver_gib:g} for the driver and"
        f" {card.reserve_gib:g} reserve: {card.budget_bytes / GIB:.1f} available"
    )


def _verdict(plan: MemoryPlan) -> Text:
    if plan.fits:
        return Text(f"fits, {plan.spare_bytes / GIB:.1f} to spare", "green")
    if plan.impossible:
        return Text(f"does not fit: this card does not support the precision of {', '.join(plan.impossible)}", "red")
    return Text(f"does not fit: {-plan.spare_bytes / GIB:.1f} too much after all reductions", "red")
