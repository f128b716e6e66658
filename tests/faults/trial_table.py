"""The table of all trials, in Markdown: a row travels with the report of its test, from any worker."""

from __future__ import annotations

from collections.abc import Iterable

from invariants import Notes, longest_silence_s

PROPERTY = "fault table"
HEADER = (
    "| fault | phase | told after, s | longest silence, s | as before after, s | verdict |",
    "|---|---|---|---|---|---|",
)


def told_after_s(notes: Notes) -> float | None:
    """From the fault to the first sign of it that the listener can see; None where there was none."""
    after = [span.start_s - notes.began_s for span in notes.explained if span.start_s >= notes.began_s]
    return min(after, default=None)


def trial_row(fault: str, phase: str, notes: Notes, problems: Iterable[str]) -> str:
    """The row of a trial; `problems` are the violated invariants."""
    back_s = None if notes.recovered_s is None else notes.recovered_s - notes.began_s
    told, back = ("–" if s is None else f"{s:.1f}" for s in (told_after_s(notes), back_s))
    silence_s = longest_silence_s(notes, explained=False)
    return f"| {fault} | {phase} | {told} | {silence_s:.1f} | {back} | {'; '.join(problems) or 'ok'} |"


def failure_row(fault: str, phase: str, error: BaseException) -> str:
    """The row of a trial that did not end."""
    return f"| {fault} | {phase} | | | | {str(error).partition(':')[0] or type(error).__name__} |"
