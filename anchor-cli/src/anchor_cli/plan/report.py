"""A plan for people (a table) and for programs (JSON, which the GPU monitor reads as the plan it compares with)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from anchor_cli.plan.budget import GIB, Basis, Card, Figure, Model
from anchor_cli.plan.ladder import Plan

MARKS = {Basis.COMPUTED: "", Basis.ASSUMED: "~", Basis.READ: "*", Basis.MEASURED: "="}
COLUMNS = ("weights", "cache", "work", "total")


def report(plan: Plan, models: Mapping[str, Model], settings: Mapping[str, str]) -> RenderableType:
    """The table, the verdict, what was given up, and the settings that follow."""
    parts: list[RenderableType] = [_table(plan, models), _card_line(plan.card), _verdict(plan)]
    if plan.given_up:
        parts.append(Text("given up, in this order:", "bold"))
        parts += [Text(f"  - {words}") for words in plan.given_up]
    notes = [models[service.choice.model].note for service in plan.services]
    parts += [Text(f"note: {note}", "yellow") for note in notes if note]
    if plan.fits:
        parts.append(Text("settings:", "bold"))
        # Whole on one line, however narrow the terminal, to be copied.
        parts += [Text(f"  {name}={value}", no_wrap=True, overflow="ignore") for name, value in settings.items()]
    parts.append(
        Text(
            "GiB; unmarked computed from the model's shape, ~ assumed, * read from its file. serves: how many at a time"
            " x tokens of each, and how the cache keeps a value. work: activations, scratch memory, graphs, CUDA",
            "dim",
        )
    )
    return Group(*parts)


def as_json(plan: Plan, settings: Mapping[str, str]) -> dict[str, Any]:
    """The plan with every figure in bytes, and where it comes from."""
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
                "service": _container(service.service),
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


def _container(service: str) -> str:
    return "ollama" if service == "llm" else f"{service}-service"


def _table(plan: Plan, models: Mapping[str, Model]) -> Table:
    """Figures stay whole on 80 columns; what has no room there is a model's title, which is broken into lines."""
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
    how = "measured" if card.basis is Basis.MEASURED else "by its data sheet"
    return Text(
        f"{card.total_bytes / GIB:.1f} GiB ({how}), less {card.driver_gib:g} for the driver and {card.reserve_gib:g}"
        f" kept free: {card.budget_bytes / GIB:.1f} to share out"
    )


def _verdict(plan: Plan) -> Text:
    if plan.fits:
        return Text(f"fits, {plan.spare_bytes / GIB:.1f} to spare", "green")
    if plan.impossible:
        return Text(f"does not fit: this card cannot compute with what {', '.join(plan.impossible)} needs", "red")
    return Text(f"does not fit: {-plan.spare_bytes / GIB:.1f} too much, with everything given up", "red")
