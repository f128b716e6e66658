"""On what is measured: the device, its driver, and how fast its clocks run."""
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass

import torch

from gpu.cards import DataSheet, data_sheet

_ASKED = ("driver_version", "pstate", "clocks.sm", "clocks.max.sm", "clocks.mem", "clocks.max.mem", "power.draw")
UNREADABLE = "not readable"


@dataclass(frozen=True, slots=True)
class Device:
    """What every figure is said of."""

    name: str
    driver: str
    torch: str
    cuda: str
    memory_bytes: int
    data_sheet: DataSheet | None

    def __str__(self) -> str:
        return f"{self.name}, driver {self.driver}, torch {self.torch}, CUDA {self.cuda}, Python {_python()}"


def find_device(tiny: bool) -> Device:
    """The first CUDA device, or for a tiny run the processor. Ends the program with status 2 where there is none."""
    if tiny:
        return Device(platform.machine() + " processor", "none", torch.__version__, "none", 0, None)
    if not torch.cuda.is_available():
        sys.stderr.write("bench-gpu needs a CUDA device, and torch sees none; --tiny tries the benchmark itself out\n")
        raise SystemExit(2)
    found = torch.cuda.get_device_properties(0)
    driver = clock_state().partition(",")[0]
    return Device(
        found.name, driver, torch.__version__, torch.version.cuda or "?", found.total_memory, data_sheet(found.name)
    )


def torch_device(tiny: bool) -> torch.device:
    """Where tensors go."""
    return torch.device("cpu" if tiny else "cuda:0")


def clock_state() -> str:
    """Driver, performance state, clocks with their limits in MHz, and power, as nvidia-smi prints them just now."""
    return _asked(",".join(_ASKED))


def memory_used_mib() -> int | None:
    """What the driver counts as used on the first device by everybody; None where it does not tell."""
    answer = _asked("memory.used", "nounits")
    return int(answer) if answer.isdigit() else None


def _asked(fields: str, *options: str) -> str:
    program = shutil.which("nvidia-smi")
    if program is None:
        return UNREADABLE
    command = [program, f"--query-gpu={fields}", ",".join(("--format=csv", "noheader", *options)), "--id=0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    return done.stdout.strip() if done.returncode == 0 else UNREADABLE


def _python() -> str:
    return platform.python_version()
