"""Verdicts: of a check, which decides one figure, and of a step, which is several checks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any


class Result(StrEnum):
    """Result of a check or a step."""

    PASS = "PASS"  # noqa: S105
    FAIL = "FAIL"
    SKIP = "SKIP"


@dataclass(frozen=True, slots=True)
class Check:
    """One decision; `cure` is the suggested action in one sentence, empty when none is needed."""

    name: str
    verdict: Result
    message: str
    cure: str = ""
    # Whether a limit for a whole card and whole models decided; a rehearsal ignores such limits.
    has_limit: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a step measured and decided. `figures` are JSON values; their names end in the unit."""

    checks: tuple[Check, ...]
    figures: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def verdict(self) -> Result:
        """FAIL when one check failed, SKIP when none was made, else PASS."""
        verdicts = {check.verdict for check in self.checks}
        if Result.FAIL in verdicts:
            return Result.FAIL
        return Result.PASS if Result.PASS in verdicts else Result.SKIP

    @property
    def cure(self) -> str:
        """The cure of the first failed check; empty when none failed."""
        return next((check.cure for check in self.checks if check.verdict is Result.FAIL), "")


def require(name: str, passed: bool, message: str, cure: str) -> Check:
    """A check that holds on every machine, also in a rehearsal."""
    return Check(name, Result.PASS, message) if passed else Check(name, Result.FAIL, message, cure)


def at_most(name: str, value: float | None, limit: float, unit: str, cure: str) -> Check:
    """PASS for a figure up to `limit`; FAIL when it is above, or when it was not measured (None)."""
    return _limited(name, value, value is not None and value <= limit, f"at most {limit:.4g}", unit, cure)


def at_least(name: str, value: float | None, limit: float, unit: str, cure: str) -> Check:
    """PASS for a figure from `limit` on; FAIL when it is below, or when it was not measured (None)."""
    return _limited(name, value, value is not None and value >= limit, f"at least {limit:.4g}", unit, cure)


def between(name: str, value: float | None, least: float, most: float, unit: str, cure: str) -> Check:
    """PASS for a figure from `least` to `most`; FAIL outside, or when it was not measured (None)."""
    passed = value is not None and least <= value <= most
    return _limited(name, value, passed, f"{least:.4g} to {most:.4g}", unit, cure)


def skip(name: str, reason: str) -> Check:
    """A check that this machine or these options leave out."""
    return Check(name, Result.SKIP, reason)


def rehearse(checks: Iterable[Check]) -> tuple[Check, ...]:
    """The checks of a rehearsal: limits are replaced by "it finished"; checks without a limit stay as they are."""
    return tuple(_rehearsed(check) for check in checks)


def _rehearsed(check: Check) -> Check:
    if not check.has_limit:
        return check
    if check.message == NOT_MEASURED:
        return skip(check.name, f"{NOT_MEASURED}: a rehearsal has no card")
    return replace(check, verdict=Result.PASS, message=f"finished, not judged: {check.message}", cure="")


NOT_MEASURED = "not measured"


def _limited(name: str, value: float | None, passed: bool, wanted: str, unit: str, cure: str) -> Check:
    unit = f" {unit}" if unit else ""
    message = NOT_MEASURED if value is None else f"{value:.4g}{unit}, wanted {wanted}{unit}"
    if passed:
        return Check(name, Result.PASS, message, has_limit=True)
    return Check(name, Result.FAIL, message, cure, has_limit=True)
