"""The result of a check."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """Severity of a finding. Only a problem prevents the mesh from running."""

    OK = "ok"
    HINT = "hint"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One result of a check; `fix` is the suggested action, empty when none is needed."""

    check: str
    verdict: Verdict
    message: str
    fix: str = ""


def exit_code(findings: Iterable[Finding]) -> int:
    """1 when there is a problem, else 0."""
    return int(any(finding.verdict is Verdict.PROBLEM for finding in findings))
