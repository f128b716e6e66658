"""What every step is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from anchor_cli.doctor.machine import Machine
from anchor_cli.plan.budget import Card
from anchor_cli.plan.ladder import MemoryPlan, Planner
from anchor_cli.settings import MeshSettings
from anchor_cli.verification.equipment.equipment import Equipment
from anchor_cli.verification.results import StepRecord


@dataclass(slots=True)
class Workbench:
    """Settings, equipment, and the results so far."""

    settings: MeshSettings
    machine: Machine
    equipment: Equipment
    card: Card
    driver: str
    planner: Planner
    plan: MemoryPlan
    # What the results hold for: card, versions and settings.
    subject: Mapping[str, Any]
    # Where sound and logs go, and the report.
    sound: Path
    page: Path
    offline: bool
    # For how long the step `memory` takes turns.
    turns_s: float
    say: Callable[[str], None]
    records: dict[str, StepRecord] = field(default_factory=dict[str, StepRecord])
    # The finished entries of models.lock.
    lock_rows: str = ""

    @property
    def root(self) -> Path:
        """The project folder."""
        return self.settings.root.resolve()

    @property
    def models(self) -> Path:
        """The models folder."""
        return self.root / self.settings.models_dir

    def figures_of(self, step: str) -> Mapping[str, Any]:
        """The figures that an earlier step recorded; empty when it has not run."""
        record = self.records.get(step)
        return record.figures if record else {}

    def sound_name(self, file: str) -> str:
        """The path of a sound file as reports show it."""
        path = self.sound / file
        return str(path.relative_to(self.root)) if path.is_relative_to(self.root) else str(path)
