"""The `anchor doctor` command."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Annotated

import typer
from pydantic import ValidationError
from pydantic_settings import SettingsError
from rich.console import Console
from rich.text import Text
from service_kit.engines.measurement import (
    CHOOSING_MODULES,
    COMMAND_WITHIN_S,
    FIRST_START_WITHIN_S,
    MEASURING_MODULES,
    measure_machine,
)
from service_kit.resources import read_resources

from anchor_cli.console import reported_failures
from anchor_cli.doctor.finding import Finding, Verdict, exit_code
from anchor_cli.doctor.machine import LocalMachine, Machine
from anchor_cli.doctor.machine_checks import check_containers, check_disk, check_gpu, check_python
from anchor_cli.doctor.profile_checks import check_machine, profile_path
from anchor_cli.doctor.project_checks import (
    check_env_file,
    check_microphone,
    check_models,
    check_ports,
    check_settings,
)
from anchor_cli.dotenv_file import load_env_file
from anchor_cli.settings import MeshSettings

_STYLES = {Verdict.OK: "green", Verdict.HINT: "cyan", Verdict.WARNING: "yellow", Verdict.PROBLEM: "red"}


def doctor_command(
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
    measure: Annotated[bool, typer.Option("--measure", help="Measure this machine's engines first.")] = False,
) -> None:
    """Check whether the mesh can run on this machine; exits with 1 when there is a problem."""
    # As `make run` does: variables of the shell take precedence.
    with reported_failures(Console()):
        load_env_file(_settings().root / ".env")
    if measure:
        # Standard output is for the findings.
        print_measurement(Console(stderr=True), _settings())
    findings = run_checks(LocalMachine(), _settings())
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=2, ensure_ascii=False))
    else:
        print_findings(Console(), findings)
    raise typer.Exit(exit_code(findings))


def run_checks(machine: Machine, settings: MeshSettings) -> list[Finding]:
    """All findings, in the order in which they are best fixed."""
    return [
        *check_python(machine),
        *check_settings(),
        *check_env_file(machine, settings),
        *check_ports(machine, settings),
        *check_disk(machine, settings),
        *check_models(settings),
        *check_machine(settings, read_resources()),
        *check_gpu(machine, settings),
        *check_containers(machine, settings),
        *check_microphone(settings),
    ]


def print_findings(console: Console, findings: Iterable[Finding]) -> None:
    """Print one line per finding and one per fix."""
    for finding in findings:
        line = Text.assemble((f"{finding.verdict.value:8}", _STYLES[finding.verdict]), finding.check, ": ")
        console.print(line.append(finding.message), soft_wrap=True)
        if finding.fix:
            console.print(Text.assemble(" " * 8, ("→ ", "bold"), finding.fix), soft_wrap=True)


def print_measurement(
    console: Console,
    settings: MeshSettings,
    within_s: float = COMMAND_WITHIN_S,
    modules: Sequence[str] = MEASURING_MODULES,
) -> None:
    """Measure this machine, print what was measured, and write the machine profile."""
    console.print(f"measuring the engines on this machine, {within_s:.0f} s at most ...")
    try:
        measure_machine(
            profile_path(settings),
            read_resources(),
            lambda line: console.print(Text(f"  {line}"), soft_wrap=True),
            folder=settings.root,
            within_s=within_s,
            modules=modules,
        )
    except OSError as error:
        console.print(Text(f"the machine profile cannot be written: {error}"), soft_wrap=True)


def measure_first_start(console: Console, settings: MeshSettings) -> None:
    """Measure what the services choose by, if there is no profile; nothing for profiles and models that need none."""
    needless = settings.profile != "embedded" or settings.models == "minimal" or settings.script is not None
    if not needless and not profile_path(settings).exists():
        print_measurement(console, settings, FIRST_START_WITHIN_S, CHOOSING_MODULES)


def _settings() -> MeshSettings:
    """The settings, or their defaults when invalid: `check_settings` reports the errors."""
    try:
        return MeshSettings()
    except (ValidationError, SettingsError):
        return MeshSettings.model_construct()
