"""The measured device: its properties, driver and clocks."""
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass

import torch

from gpu.data_sheets import DataSheet, data_sheet

_CLOCK_FIELDS = ("driver_version", "pstate", "clocks.sm", "clocks.max.sm", "clocks.mem", "clocks.max.mem", "power.draw")
UNREADABLE = "not readable"


@dataclass(frozen=True, slots=True)
class Device:
    """The device and software versions of a run."""

    name: str
    driver: str
    torch: str
    cuda: str
    memory_bytes: int
    data_sheet: DataSheet | None

    def __str__(self) -> str:
        return f"{self.name}, driver {self.driver}, torch {self.torch}, CUDA {self.cuda}, Python {_python()}"


def find_device(tiny: bool) -> Device:
    """The first CUDA device, or the processor for a tiny run. Exits with status 2 when there is none."""
    if tiny:
        return Device(platform.machine() + " processor", "none", torch.__version__, "none", 0, None)
    if not torch.cuda.is_available():
        sys.stderr.write("bench-gpu needs a CUDA device, and torch finds none; --tiny tests the benchmark itself\n")
        raise SystemExit(2)
    found = torch.cuda.get_device_properties(0)
    driver = clock_state().partition(",")[0]
    return Device(
        found.name, driver, torch.__version__, torch.version.cuda or "?", found.total_memory, data_sheet(found.name)
    )


def torch_device(tiny: bool) -> torch.device:
    """The device for tensors."""
    return torch.device("cpu" if tiny else "cuda:0")


def clock_state() -> str:
    """Driver, performance state, clocks with their limits in MHz, and power, as nvidia-smi prints them."""
    return _query_nvidia_smi(",".join(_CLOCK_FIELDS))


def memory_used_mib() -> int | None:
    """Memory used on the first device by all programs; None when the driver does not report it."""
    answer = _query_nvidia_smi("memory.used", "nounits")
    return int(answer) if answer.isdigit() else None


def _query_nvidia_smi(fields: str, *options: str) -> str:
    program = shutil.which("nvidia-smi")
    if program is None:
        return UNREADABLE
    # The card of the containers; the programs show CUDA only this one.
    card = os.environ.get("ANCHOR_GPU") or "0"
    command = [program, f"--query-gpu={fields}", ",".join(("--format=csv", "noheader", *options)), f"--id={card}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    return done.stdout.strip() if done.returncode == 0 else UNREADABLE


def _python() -> str:
    return platform.python_version()
