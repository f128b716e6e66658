"""Fixtures: a machine with GPUs, simulated by a fake NVML library that reads its values from a file."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

import pytest
from fake_machine import FAKE_NVML, Machine

pytest_plugins = ["service_kit.testing.plugin"]


@pytest.fixture(scope="session")
def nvml_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Path of the compiled fake driver library."""
    if shutil.which("cc") is None:
        pytest.fail("these tests compile a fake driver library: install a C compiler (cc)")
    library = tmp_path_factory.mktemp("nvml") / "libnvidia-ml.so.1"
    flags = ["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", f"-Wl,-soname,{library.name}"]
    subprocess.run(["cc", *flags, "-o", str(library), str(FAKE_NVML)], check=True)
    return library


@pytest.fixture
def machine(nvml_library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine with an NVIDIA driver and no GPU yet; readers inside this process see it too."""
    machine = Machine(tmp_path, nvml_library)
    # The loader reuses an already loaded library of the same name.
    ctypes.CDLL(str(nvml_library))
    monkeypatch.setenv("FAKE_NVML_FIGURES", machine.environment["FAKE_NVML_FIGURES"])
    return machine
