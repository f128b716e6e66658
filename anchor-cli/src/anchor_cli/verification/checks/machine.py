"""Machine: driver, memory, disks, and containers that see the card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from anchor_cli.doctor.machine_checks import MIN_DRIVER
from anchor_cli.plan.ladder import MemoryPlan
from anchor_cli.verification.checks.limits import GIB, LEAST_DISK_GB
from anchor_cli.verification.outcome import Check, Result, at_least, require


@dataclass(frozen=True, slots=True)
class MachineFigures:
    """What the machine reports. Memory in MiB, disks in GB."""

    profile: str
    driver: str
    compute: float
    used_mib: int
    # Free and occupied by this project already, by the purpose of the disk.
    disk_gb: Mapping[str, float]
    # The card's line as a container prints it; empty when it printed none.
    card_in_container: str


def check_machine(figures: MachineFigures, plan: MemoryPlan) -> tuple[Check, ...]:
    """Decide whether `plan`, made for the measured card, can run."""
    major = figures.driver.partition(".")[0]
    free_gib = plan.card.memory_mib / 1024 - figures.used_mib / 1024
    needed_gib = plan.total_bytes / GIB
    disks = (
        at_least(
            f"disk for {purpose}",
            gb,
            LEAST_DISK_GB,
            "GB",
            f"Free disk space for {purpose}, or move them to a larger disk (ANCHOR_MODELS_DIR, Docker's data-root).",
        )
        for purpose, gb in figures.disk_gb.items()
    )
    return (
        Check("profile", Result.PASS, figures.profile, has_limit=True)
        if figures.profile == "gpu"
        else Check(
            "profile",
            Result.FAIL,
            f"ANCHOR_PROFILE is {figures.profile}",
            "Run `anchor plan --write .env`, which selects the profile gpu and sets the servers' memory.",
            has_limit=True,
        ),
        at_least(
            "driver",
            float(major) if major.isdecimal() else None,
            MIN_DRIVER,
            "",
            f"Install NVIDIA's driver {MIN_DRIVER} or newer.",
        ),
        require(
            "plan",
            plan.fits,
            f"{needed_gib:.1f} GiB planned of {plan.card.memory_mib / 1024:.1f}, compute capability {figures.compute}",
            "Choose smaller models with `anchor plan --model`.",
        ),
        at_least(
            "free memory",
            free_gib,
            needed_gib,
            "GiB",
            "Run `make down`, and stop the other programs that nvidia-smi lists.",
        ),
        *disks,
        require(
            "containers see the card",
            bool(figures.card_in_container),
            figures.card_in_container or "`docker run --gpus all` printed no card",
            "Install the NVIDIA Container Toolkit, `nvidia-ctk runtime configure --runtime=docker`, restart Docker.",
        ),
    )
