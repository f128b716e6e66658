"""Step 1: the machine. Nothing goes on the card."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from anchor_cli.plan.budget import GIB
from anchor_cli.plan.env_file import plan_settings
from anchor_cli.plan.report import plan_as_json
from anchor_cli.verification.checks.machine import MachineFigures, check_machine
from anchor_cli.verification.outcome import Outcome
from anchor_cli.verification.workbench import Workbench

_DOCKER_ROOT = ("docker", "info", "--format", "{{.DockerRootDir}}")


async def verify_machine(bench: Workbench) -> Outcome:
    """Check driver, memory, disks and containers, and plan the measured card."""
    used = await bench.equipment.used_bytes()
    figures = MachineFigures(
        profile=bench.settings.profile,
        driver=bench.driver,
        compute=bench.card.compute,
        used_mib=(used or 0) // 2**20,
        disk_gb=_disks(bench),
        card_in_container=await bench.equipment.card_in_container(),
    )
    plan = plan_as_json(bench.plan, plan_settings(bench.plan, bench.planner.models))
    for service in bench.plan.services:
        bench.say(f"  planned for {service.service}: {service.total_bytes / GIB:.2f} GiB, {service.choice.model}")
    return Outcome(check_machine(figures, bench.plan), {**asdict(figures), "plan": plan})


def _disks(bench: Workbench) -> dict[str, float]:
    """Room for the models and for Docker's images: free, and what the models there already take. In GB."""
    models = bench.models
    there = sum(path.stat().st_size for path in models.rglob("*") if path.is_file()) if models.is_dir() else 0
    disks = {"the models": (bench.machine.free_bytes(models) + there) / 1e9}
    docker = bench.machine.run_command(*_DOCKER_ROOT)
    if docker.succeeded and docker.output:
        disks["Docker's images"] = bench.machine.free_bytes(Path(docker.output)) / 1e9
    return {purpose: round(gb, 1) for purpose, gb in disks.items()}
