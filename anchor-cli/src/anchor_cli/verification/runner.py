"""Runs the steps in their order, keeps each result, and goes on after failures."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from service_kit.errors import AnchorError, root_cause

from anchor_cli.verification.outcome import Check, Outcome, Result, rehearse, skip
from anchor_cli.verification.results import ResultsFile, RunRecord, StepRecord
from anchor_cli.verification.workbench import Workbench


class StepName(StrEnum):
    """The steps, in their order."""

    MACHINE = "machine"
    FILES = "files"
    VOICE = "voice"
    LANGUAGE_MODEL = "language-model"
    RECOGNITION = "recognition"
    ROUND_TRIP = "round-trip"
    TOGETHER = "together"
    MEMORY = "memory"
    REPORT = "report"


@dataclass(frozen=True, slots=True)
class Step:
    """A step: `needs` are the steps without whose success it proves nothing; `cure` is for errors in it."""

    name: StepName
    title: str
    needs: tuple[StepName, ...]
    cure: str
    run: Callable[[Workbench], Awaitable[Outcome]]


@dataclass(slots=True)
class Runner:
    """One run over `steps`."""

    steps: Sequence[Step]
    results: ResultsFile
    subject: dict[str, Any]
    fingerprint: str
    # Prints a finished step; the flag says that an earlier run made it.
    show: Callable[[StepRecord, bool], None]
    clock: Callable[[], float] = time.monotonic

    async def run(self, bench: Workbench, only: str = "") -> RunRecord:
        """Run what has not passed yet, or only the named step; returns the record, which is also in the file."""
        recorded = self.results.read_steps()
        bench.records.update({name: step for name, step in recorded.items() if step.fingerprint == self.fingerprint})
        bench.lock_rows = str(bench.figures_of(StepName.FILES).get("lock_rows", ""))
        for step in self.steps:
            earlier = bench.records.get(step.name)
            if only and step.name != only:
                continue
            if not only and earlier and earlier.verdict is Result.PASS and not _is_always_run(step):
                self.show(earlier, True)
                continue
            began_s = self.clock()
            outcome = await self._run_step(step, bench, forced=bool(only))
            record = StepRecord.of(step.name, step.title, outcome, self.clock() - began_s, self.fingerprint)
            bench.records[step.name] = record
            self.show(record, False)
            self.results.write(self._record(bench))
        return self._record(bench)

    async def _run_step(self, step: Step, bench: Workbench, *, forced: bool) -> Outcome:
        missing = [name for name in step.needs if not _passed(bench.records.get(name))]
        if missing and not forced:
            return Outcome((skip(step.name, f"needs {', '.join(missing)}"),))
        bench.say(f"{step.name}: {step.title} ...")
        try:
            outcome = await step.run(bench)
        except Exception as error:  # The other steps still run.
            return Outcome((_error_check(step, error),))
        return replace(outcome, checks=rehearse(outcome.checks)) if bench.equipment.rehearsal else outcome

    def _record(self, bench: Workbench) -> RunRecord:
        steps = [bench.records[step.name] for step in self.steps if step.name in bench.records]
        passed = len(steps) == len(self.steps) and all(step.verdict is Result.PASS for step in steps)
        return RunRecord(
            schema=1,
            rehearsal=bench.equipment.rehearsal,
            passed=passed,
            finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
            fingerprint=self.fingerprint,
            subject=self.subject,
            steps=steps,
            lock_rows=bench.lock_rows,
        )


def failed_steps(run: RunRecord) -> list[StepRecord]:
    """The steps that did not pass."""
    return [step for step in run.steps if step.verdict is not Result.PASS]


def sound_folder(run_folder: Path, *, rehearsal: bool) -> Path:
    """The folder of the sound."""
    return run_folder / ("verify-tiny" if rehearsal else "verify")


def _is_always_run(step: Step) -> bool:
    # It renders the others.
    return step.name is StepName.REPORT


def _passed(record: StepRecord | None) -> bool:
    return record is not None and record.verdict is Result.PASS


def _error_check(step: Step, error: Exception) -> Check:
    cause = root_cause(error)
    reason = cause.message if isinstance(cause, AnchorError) else f"{type(cause).__name__}: {str(cause)[:500]}"
    return Check("error", Result.FAIL, reason, step.cure)
