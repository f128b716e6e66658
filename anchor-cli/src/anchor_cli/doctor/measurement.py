"""Measures the engines of this machine and writes the machine profile.

Each service measures its own engines, in a process of its own: `python -m <service>.measure` prints a JSON object,
`{engine: {"first_result_s": ..., "real_time_factor": ...}}`. It may print one after each engine; the last line counts.
"""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from service_kit.engines.machine_profile import EngineSpeed, MachineProfile, write_profile
from service_kit.errors import EngineFailed
from service_kit.resources import MachineResources

from anchor_cli.settings import MeshSettings

MEASURING_MODULES = ("stt_service.measure", "tts_service.measure")
# Time for all modules together: by command, and at the first start, which the user waits for.
COMMAND_WITHIN_S = 180.0
FIRST_START_WITHIN_S = 30.0
_MAX_OUTPUT_CHARS = 100_000


def profile_path(settings: MeshSettings) -> Path:
    """The file of the machine profile."""
    return settings.root / settings.machine_profile


def measure_machine(
    settings: MeshSettings,
    resources: MachineResources,
    report: Callable[[str], None],
    *,
    within_s: float = COMMAND_WITHIN_S,
    modules: Sequence[str] = MEASURING_MODULES,
) -> MachineProfile:
    """Measure all engines, write the profile and return it; `report` receives a line per engine and per failure.

    A module that fails or takes too long adds no engines. Raises `OSError` when the file cannot be written.
    """
    until_s = time.monotonic() + within_s
    engines: dict[str, EngineSpeed] = {}
    for module in modules:
        try:
            measured = measure_module(module, settings.root, max(0.1, until_s - time.monotonic()))
        except EngineFailed as error:
            report(f"{module}: {error.message}")
            continue
        for name, speed in measured.items():
            report(describe_speed(name, speed))
        engines |= measured
    profile = MachineProfile(resources.cores, resources.memory_bytes, engines)
    write_profile(profile_path(settings), profile)
    return profile


def describe_speed(name: str, speed: EngineSpeed) -> str:
    """One line about a measured engine."""
    return (
        f"{name}: {speed.first_result_s:.2f} s to the first result, {speed.real_time_factor:.2f} s per second of speech"
    )


def measure_module(module: str, folder: Path, within_s: float) -> dict[str, EngineSpeed]:
    """Run `python -m module` in `folder` and return what it measured within `within_s`. Raises `EngineFailed`."""
    # A session of its own, so that its worker processes end with it.
    with subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", module],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            output, errors = process.communicate(timeout=within_s)
        except subprocess.TimeoutExpired:
            _kill_group(process.pid)
            return _parse_unfinished(process.communicate()[0], within_s)
        finally:
            _kill_group(process.pid)
    if process.returncode:
        last = next(reversed(errors.strip().splitlines()), f"exit status {process.returncode}")
        raise EngineFailed("doctor.not_measured", f"not measured: {last}")
    return parse_speeds(output)


def _parse_unfinished(output: str, within_s: float) -> dict[str, EngineSpeed]:
    """The speeds that a slow machine has measured in time: those decide whether it gets a smaller model."""
    with suppress(EngineFailed):
        if speeds := parse_speeds(output):
            return speeds
    raise EngineFailed("doctor.measuring_slow", f"not measured in the {within_s:.0f} s left")


def parse_speeds(output: str) -> dict[str, EngineSpeed]:
    """The speeds in the last line of a measurement's output. Raises `EngineFailed` for anything else."""
    try:
        document: Mapping[str, Mapping[str, Any]] = json.loads(output[-_MAX_OUTPUT_CHARS:].strip().splitlines()[-1])
        return {
            str(name): EngineSpeed(_seconds(speed["first_result_s"]), _seconds(speed["real_time_factor"]))
            for name, speed in document.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise EngineFailed("doctor.measurement_invalid", f"unexpected output of the measurement: {error!r}") from error


def _seconds(value: object) -> float:
    if not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise ValueError(f"{value!r} is not a time")
    return float(value)


def _kill_group(pid: int) -> None:
    """Kill what is left of the process and its workers."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
