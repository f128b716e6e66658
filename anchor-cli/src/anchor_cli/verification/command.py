"""The `anchor verify-gpu` command."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text
from service_kit.errors import AnchorError

from anchor_cli.console import load_settings_or_exit, reported_failures
from anchor_cli.doctor.machine import LocalMachine
from anchor_cli.dotenv_file import load_env_file
from anchor_cli.plan.catalogue import read_catalogue
from anchor_cli.plan.detection import NVIDIA_SMI, DetectedCard, detect_card, match_card, nvidia_smi_probe
from anchor_cli.plan.overrides import build_planner
from anchor_cli.settings import MeshSettings
from anchor_cli.verification.catalogue import STEPS
from anchor_cli.verification.checks.limits import TURNS_S
from anchor_cli.verification.equipment.containers import ContainerEquipment
from anchor_cli.verification.equipment.rehearsal import RehearsalEquipment
from anchor_cli.verification.outcome import Result
from anchor_cli.verification.results import ResultsFile, RunRecord, StepRecord
from anchor_cli.verification.runner import Runner, StepName, failed_steps, sound_folder
from anchor_cli.verification.subject import describe_subject, fingerprint, of_the_card, read_driver
from anchor_cli.verification.workbench import Workbench

_STYLES = {Result.PASS: "green", Result.FAIL: "red", Result.SKIP: "yellow"}
# A rehearsal has no card, and plans the one of the GPU profile.
_REHEARSED_CARD = "rtx6000-ada"
# Neither a result of the checks nor wrong usage.
_NO_CARD_STATUS = 2


@dataclass(frozen=True, slots=True)
class Options:
    """Options of one run."""

    tiny: bool
    offline: bool
    only: str
    torch_python: str


def verify_gpu_command(
    only: Annotated[StepName | None, typer.Option(help="Run only this step, even if it passed before.")] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Fetch nothing; only verify the local files.")] = False,
    tiny: Annotated[
        bool, typer.Option("--tiny", help="Rehearse all steps on a CPU with tiny models; needs a source checkout.")
    ] = False,
    torch_python: Annotated[
        str, typer.Option(help="A Python that has torch.", envvar="GPU_PYTHON")
    ] = ".venv-engines/bin/python",
) -> None:
    """Prove on this machine's GPU that everything works, in nine resumable steps; exits with 0 only if all passed."""
    console = Console()
    with reported_failures(console):
        load_env_file(Path.cwd() / ".env")
    settings = load_settings_or_exit(console)
    options = Options(tiny, offline, only or "", torch_python)
    card = None if tiny else _find_card(console)
    run = asyncio.run(_verify(settings, options, card, console))
    judged = [step for step in run.steps if not options.only or step.step == options.only]
    if run.lock_rows and not options.only:
        console.print("\nentries for models.lock, to be pinned by the project (please send them):\n", markup=False)
        console.print(Text(run.lock_rows), soft_wrap=True)
    left = [step.step for step in failed_steps(run) if step in judged]
    complete = options.only or run.passed
    console.print(f"not passed: {', '.join(left)}" if left or not complete else "all passed", markup=False)
    raise typer.Exit(1 if left or not complete else 0)


def _find_card(console: Console) -> DetectedCard:
    """The card by nvidia-smi. Exits with 2 when there is none."""
    try:
        return asyncio.run(detect_card([nvidia_smi_probe(of_the_card(NVIDIA_SMI, os.environ))]))
    except AnchorError as error:
        reason = error.message.partition(";")[0]
        console.print(
            f"verify-gpu needs an NVIDIA GPU: {reason}; --tiny rehearses the steps on a CPU",
            soft_wrap=True,
            markup=False,
        )
        raise typer.Exit(_NO_CARD_STATUS) from error


async def _verify(
    settings: MeshSettings, options: Options, detected: DetectedCard | None, console: Console
) -> RunRecord:
    machine, catalogue = LocalMachine(), read_catalogue()
    planner = build_planner(catalogue, [], None)
    card = match_card(detected, catalogue.cards) if detected else catalogue.card(_REHEARSED_CARD)
    plan = planner.plan(card)
    sound = sound_folder(settings.run_folder, rehearsal=options.tiny)
    driver = read_driver(machine, os.environ) if detected else ""
    subject = describe_subject(settings.root, detected, driver, os.environ, options.tiny)
    suffix = "-tiny" if options.tiny else ""
    results = ResultsFile(settings.run_folder / f"verify-gpu{suffix}.json")
    log = sound / "docker.log"
    torch_python = (_absolute(settings.root, options.torch_python),)
    async with AsyncExitStack() as stack:
        equipment = (
            await stack.enter_async_context(RehearsalEquipment(settings, sound, torch_python))
            if options.tiny
            else ContainerEquipment(settings, machine, plan, console, log, torch_python, options.offline)
        )
        bench = Workbench(
            settings=settings,
            machine=machine,
            equipment=equipment,
            card=card,
            driver=driver,
            planner=planner,
            plan=plan,
            subject=subject,
            sound=sound,
            page=results.path.with_suffix(".md"),
            offline=options.offline,
            turns_s=0.0 if options.tiny else TURNS_S,
            say=lambda line: console.print(Text(line, "dim"), soft_wrap=True),
        )
        runner = Runner(STEPS, results, subject, fingerprint(subject), partial(print_step, console))
        return await runner.run(bench, options.only)


def print_step(console: Console, step: StepRecord, was_recorded: bool) -> None:
    """Print one step: its verdict, what did not pass, and the cures."""
    note = "passed before, same card, versions and settings" if was_recorded else f"{step.seconds:.0f} s"
    console.print(Text.assemble((f"{step.verdict:5}", _STYLES[step.verdict]), step.step, (f"  ({note})", "dim")))
    for check in step.checks:
        if check.verdict is not Result.PASS:
            line = Text.assemble(
                "      ", (check.verdict.value, _STYLES[check.verdict]), f" {check.name}: {check.message}"
            )
            console.print(line, soft_wrap=True)
        if check.cure:
            console.print(Text.assemble("      ", ("→ ", "bold"), check.cure), soft_wrap=True)


def _absolute(root: Path, python: str) -> str:
    """A path below `root` as an absolute one; the name of a program on the path as it is."""
    return str(root.resolve() / python) if "/" in python else python
