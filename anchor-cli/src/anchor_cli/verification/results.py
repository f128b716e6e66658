"""The results of a run, as they are kept between runs: what passed with the same fingerprint need not run again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from anchor_cli.verification.outcome import Check, Outcome, Result

# Raised when a field changes its meaning; results of another schema are not resumed.
SCHEMA = 1


class CheckRecord(BaseModel):
    """A check, as JSON."""

    name: str
    verdict: Result
    message: str
    cure: str = ""


class StepRecord(BaseModel):
    """A finished step, as JSON."""

    step: str
    title: str
    verdict: Result
    cure: str
    seconds: float
    fingerprint: str
    checks: list[CheckRecord]
    figures: dict[str, Any]

    @classmethod
    def of(cls, step: str, title: str, outcome: Outcome, seconds: float, fingerprint: str) -> StepRecord:
        """The record of `outcome`."""
        checks = [_record(check) for check in outcome.checks]
        return cls(
            step=step,
            title=title,
            verdict=outcome.verdict,
            cure=outcome.cure,
            seconds=round(seconds, 1),
            fingerprint=fingerprint,
            checks=checks,
            figures=dict(outcome.figures),
        )


class RunRecord(BaseModel):
    """A whole run, as JSON. `subject` is what the fingerprint is made of: card, versions and settings."""

    schema_version: int = Field(default=SCHEMA, alias="schema")
    rehearsal: bool
    passed: bool
    finished_at: str
    fingerprint: str
    subject: dict[str, Any]
    steps: list[StepRecord]
    # The finished entries of models.lock; empty until the step `files` has passed.
    lock_rows: str


@dataclass(frozen=True, slots=True)
class ResultsFile:
    """The file with the last results."""

    path: Path

    def read_steps(self) -> dict[str, StepRecord]:
        """The recorded steps by name; empty without a file of this schema."""
        try:
            run = RunRecord.model_validate_json(self.path.read_bytes())
        except (FileNotFoundError, ValidationError):
            return {}
        return {step.step: step for step in run.steps} if run.schema_version == SCHEMA else {}

    def write(self, run: RunRecord) -> None:
        """Replace the file."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        draft = self.path.with_name(f"{self.path.name}.new")
        fields: Mapping[str, Any] = run.model_dump(mode="json", by_alias=True)
        draft.write_text(json.dumps(fields, indent=1, ensure_ascii=False) + "\n", "utf-8")
        draft.replace(self.path)


def _record(check: Check) -> CheckRecord:
    return CheckRecord(name=check.name, verdict=check.verdict, message=check.message, cure=check.cure)
