"""Measures the engines of this machine and writes the machine profile.

Each service measures its own engines, in a process of its own: `python -m <service>.measure` prints a JSON object,
`{engine: {"first_result_s": ..., "real_time_factor": ...}}`, and for a language model `{"first_token_s": ...,
"tokens_per_s": ...}`. It may print one after each engine; the last line counts. The module's `installed_engines()`
names what it would measure.

`python -m service_kit.engines.measurement MODULE ...` measures what the profile does not have yet, for containers, each
of which has one service only. It ends with status 0 whatever happens: the services start without a profile too.
"""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import SettingsError

from service_kit.engines.machine_profile import EngineSpeed, MachineProfile, ModelSpeed, read_profile, write_profile
from service_kit.errors import EngineFailed
from service_kit.resources import MachineResources, read_resources
from service_kit.setting_problems import setting_problems_line
from service_kit.settings import ServiceSettings

# What services choose by. The local language model only informs.
CHOOSING_MODULES = ("stt_service.measure", "tts_service.measure")
MEASURING_MODULES = (*CHOOSING_MODULES, "llm_service.measure")
# Time for all modules together: by command, and at the first start, which the user waits for.
COMMAND_WITHIN_S = 180.0
FIRST_START_WITHIN_S = 30.0
_MAX_OUTPUT_CHARS = 100_000


@dataclass(frozen=True, slots=True)
class Speeds:
    """What one module measured, by name."""

    engines: Mapping[str, EngineSpeed] = field(default_factory=dict[str, EngineSpeed])
    language_models: Mapping[str, ModelSpeed] = field(default_factory=dict[str, ModelSpeed])


def measure_machine(
    path: Path,
    resources: MachineResources,
    report: Callable[[str], None],
    *,
    folder: Path,
    within_s: float,
    modules: Sequence[str] = MEASURING_MODULES,
    known: MachineProfile | None = None,
) -> MachineProfile:
    """Measure the engines of `modules`, write the profile to `path` and return it.

    The modules run in `folder`. `report` receives a line per engine and per failure. `known` has the speeds that stay
    where no new ones were measured. A module that fails or takes too long adds no engines. Raises `OSError` when the
    file cannot be written.
    """
    until_s = time.monotonic() + within_s
    engines = dict(known.engines) if known else {}
    language_models = dict(known.language_models) if known else {}
    for module in modules:
        try:
            measured = measure_module(module, folder, max(0.1, until_s - time.monotonic()))
        except EngineFailed as error:
            report(f"{module}: {error.message}")
            continue
        for line in describe_speeds(measured.engines, measured.language_models):
            report(line)
        engines |= measured.engines
        language_models |= measured.language_models
    profile = MachineProfile(resources.cores, resources.memory_bytes, engines, language_models)
    write_profile(path, profile)
    return profile


def describe_speeds(engines: Mapping[str, EngineSpeed], language_models: Mapping[str, ModelSpeed]) -> list[str]:
    """A line about each measured engine."""
    return [
        *(
            f"{name}: {speed.first_result_s:.2f} s to the first result, "
            f"{speed.real_time_factor:.2f} s per second of speech"
            for name, speed in engines.items()
        ),
        *(
            f"{name}: {speed.first_token_s:.2f} s to the first token over a prepared passage, "
            f"{speed.tokens_per_s:.1f} tokens per second"
            for name, speed in language_models.items()
        ),
    ]


def unmeasured_engines(profile: MachineProfile | None, modules: Sequence[str]) -> list[str]:
    """The engines of `modules` that are installed and have no row in `profile`.

    A module that is not installed has none, nor has one whose settings are invalid.
    """
    rows: Collection[str] = {*profile.engines, *profile.language_models} if profile else ()
    installed: list[str] = []
    for module in modules:
        with suppress(ModuleNotFoundError, ValidationError):
            installed += import_module(module).installed_engines()
    return [name for name in installed if name not in rows]


def measure_module(module: str, folder: Path, within_s: float) -> Speeds:
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


def _parse_unfinished(output: str, within_s: float) -> Speeds:
    """The speeds that a slow machine has measured in time: those decide whether it gets a smaller model."""
    with suppress(EngineFailed):
        speeds = parse_speeds(output)
        if speeds.engines or speeds.language_models:
            return speeds
    raise EngineFailed("doctor.measuring_slow", f"not measured in the {within_s:.0f} s left")


def parse_speeds(output: str) -> Speeds:
    """The speeds in the last line of a measurement's output. Raises `EngineFailed` for anything else."""
    engines: dict[str, EngineSpeed] = {}
    language_models: dict[str, ModelSpeed] = {}
    try:
        document: Mapping[str, Mapping[str, Any]] = json.loads(output[-_MAX_OUTPUT_CHARS:].strip().splitlines()[-1])
        for name, speed in document.items():
            if "tokens_per_s" in speed:
                language_models[name] = ModelSpeed(_number(speed["first_token_s"]), _number(speed["tokens_per_s"]))
            else:
                engines[name] = EngineSpeed(_number(speed["first_result_s"]), _number(speed["real_time_factor"]))
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise EngineFailed("doctor.measurement_invalid", f"unexpected output of the measurement: {error!r}") from error
    return Speeds(engines, language_models)


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise ValueError(f"{value!r} is not a speed")
    return float(value)


def _kill_group(pid: int) -> None:
    """Kill what is left of the process and its workers."""
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def measure_missing(settings: ServiceSettings, modules: Sequence[str], report: Callable[[str], None]) -> None:
    """Measure the engines of `modules` unless the profile has them, in the time of a first start.

    What cannot be measured in that time is noted in the profile, and not tried again: each start would wait for it.
    """
    if settings.profile != "embedded" or settings.models == "minimal":
        report("nothing to measure: the settings choose the engines")
        return
    path, resources = settings.machine_profile, read_resources()
    known = read_profile(path)
    if known is not None and known.cores != resources.cores:
        known = None
    given_up = list(known.given_up) if known else []
    missing = [name for name in unmeasured_engines(known, modules) if name not in given_up]
    if not missing:
        report("nothing to measure: the machine profile has the installed engines")
        return
    report(f"measuring {', '.join(missing)}, {FIRST_START_WITHIN_S:.0f} s at most")
    try:
        profile = measure_machine(
            path, resources, report, folder=Path.cwd(), within_s=FIRST_START_WITHIN_S, modules=modules, known=known
        )
        if failed := unmeasured_engines(profile, modules):
            report(f"not measured, and not tried again with this profile: {', '.join(failed)}")
        write_profile(path, replace(profile, given_up=tuple(dict.fromkeys((*given_up, *failed)))))
    except OSError as error:
        report(f"the machine profile cannot be written: {error}")


def main() -> None:
    """Measure the engines of the modules that the command line names."""
    try:
        settings = ServiceSettings(grpc_port=0, http_port=0)
    except (ValidationError, SettingsError) as error:
        # The services report it, and do not start.
        print(f"nothing measured: {setting_problems_line(error)}", flush=True)  # noqa: T201
        return
    measure_missing(settings, sys.argv[1:], lambda line: print(line, flush=True))  # noqa: T201


if __name__ == "__main__":
    main()
