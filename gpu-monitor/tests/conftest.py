"""A machine with GPUs, for machines without: the real binding loads a driver library that answers from a file."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

import pytest

pytest_plugins = ["service_kit.testing"]

GIB = 1024**3
FAKE_NVML = Path(__file__).with_name("fake_nvml.c")


class Machine:
    """The GPUs of the fake driver; every change holds from the next call of the library on."""

    def __init__(self, folder: Path, library: Path) -> None:
        self.figures = folder / "figures.txt"
        self.environment = {"LD_LIBRARY_PATH": str(library.parent), "FAKE_NVML_FIGURES": str(self.figures)}
        self.has()

    def has(self, *lines: str) -> None:
        """Let the machine be what `lines` of fake_nvml.c's format say."""
        draft = self.figures.with_suffix(".draft")
        draft.write_text("".join(line + "\n" for line in lines))
        draft.replace(self.figures)


def gpu(index: int = 0, used_gib: float = 12, total_gib: float = 48) -> str:
    """A line for one device that says everything."""
    return f"device {index} {int(total_gib * GIB)} {int(used_gib * GIB)} 37 61 143500"


@pytest.fixture(scope="session")
def nvml_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The fake driver library, compiled."""
    if shutil.which("cc") is None:
        pytest.fail("these tests compile a fake driver library: install a C compiler (cc)")
    library = tmp_path_factory.mktemp("nvml") / "libnvidia-ml.so.1"
    flags = ["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", f"-Wl,-soname,{library.name}"]
    subprocess.run(["cc", *flags, "-o", str(library), str(FAKE_NVML)], check=True)
    return library


@pytest.fixture
def machine(nvml_library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine with an NVIDIA driver and, at first, no GPU; also for readers inside this process."""
    machine = Machine(tmp_path, nvml_library)
    # The loader finds a library by name among those that are loaded already.
    ctypes.CDLL(str(nvml_library))
    monkeypatch.setenv("FAKE_NVML_FIGURES", machine.environment["FAKE_NVML_FIGURES"])
    return machine
