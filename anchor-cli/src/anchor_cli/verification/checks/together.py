"""All together: a conversation is in time, also while everything is busy."""

from __future__ import annotations

from dataclasses import dataclass

from anchor_cli.verification.checks import limits
from anchor_cli.verification.outcome import Check, at_most, require

_SLOWER = "Run `anchor plan --write .env`, restart, and see in run/verify-gpu.md which stage took the time."


@dataclass(frozen=True, slots=True)
class TogetherFigures:
    """One turn of `anchor demo`, and voices, a reply and a transcript at the same time."""

    transcript: str
    reply_engine: str
    response_ms: float
    budget_ms: int
    # Times at which the playout had no audio before the reply's end.
    underruns: int
    realtime_factors: tuple[float, ...]
    # Of the language model, while all was busy; None without a report.
    host_memory_bytes: int | None


def check_together(figures: TogetherFigures) -> tuple[Check, ...]:
    """Decide on the turn, and on the load."""
    slowest = max(figures.realtime_factors, default=None)
    return (
        require("question recognised", bool(figures.transcript), repr(figures.transcript), "Run `--only recognition`."),
        at_most("response latency", figures.response_ms, figures.budget_ms, "ms", _SLOWER),
        at_most("underruns", figures.underruns, 0, "", "Lower TTS_HIGGS_SLOTS, or set TTS_HIGGS_WEIGHTS=fp8."),
        at_most(
            "real-time factor under load",
            slowest,
            limits.MOST_REALTIME_FACTOR,
            "",
            "Lower TTS_HIGGS_SLOTS and OLLAMA_NUM_PARALLEL, then `docker compose up -d`.",
        ),
        at_most(
            "language model in host memory",
            None if figures.host_memory_bytes is None else figures.host_memory_bytes / limits.MIB,
            0,
            "MiB",
            "Run `anchor plan --reserve-gib 3 --write .env`: the language model no longer fits beside the others.",
        ),
    )
