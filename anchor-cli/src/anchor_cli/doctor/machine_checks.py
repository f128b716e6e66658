"""Checks of Python, disk, GPU and containers for the configured profile."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from service_kit.anchor_command import anchor_command

from anchor_cli.doctor.finding import Finding, Verdict
from anchor_cli.doctor.machine import CommandResult, Machine
from anchor_cli.settings import MeshSettings

NVIDIA_SMI = (
    "nvidia-smi",
    "--query-gpu=name,driver_version,memory.total,memory.used",
    "--format=csv,noheader,nounits",
)
# Required by the container images of the model servers.
_MIN_DRIVER = 550
_MIN_DOCKER = (25, 0)
_MIN_COMPOSE = (2, 24)
# The profile gpu is designed for a card with 48 GB.
_GPU_FREE_MIB = 40 * 1024
# Per profile, in GB: below the first is a problem, below the second a warning.
_DISK_GB = {"embedded": (2, 5), "cpu": (8, 15), "gpu": (30, 60)}


def check_python(machine: Machine) -> Iterator[Finding]:
    """Check that the services support this Python."""
    major, minor = machine.python
    version = f"Python {major}.{minor}"
    if (major, minor) < (3, 11):
        yield Finding("python", Verdict.PROBLEM, f"{version} is too old", "install 3.12: make setup PYTHON=python3.12")
    elif (major, minor) > (3, 13):
        fix = "if a package has no wheel for it: make clean setup PYTHON=python3.13"
        yield Finding("python", Verdict.WARNING, f"{version} is newer than the tested versions 3.11 to 3.13", fix)
    elif (major, minor) == (3, 12):
        yield Finding("python", Verdict.OK, f"{version}; PocketSphinx has no wheel for it, Whisper recognises")
    else:
        yield Finding("python", Verdict.OK, version)


def check_disk(machine: Machine, settings: MeshSettings) -> Iterator[Finding]:
    """Check the free disk space for images and models."""
    free = machine.free_bytes(settings.root / settings.models_dir) / 1e9
    least, comfortable = _DISK_GB[settings.profile]
    message = f"{free:.0f} GB free; the profile {settings.profile} needs {comfortable}"
    fix = "free disk space, or set ANCHOR_MODELS_DIR to a larger disk"
    if free < least:
        yield Finding("disk", Verdict.PROBLEM, message, fix)
    elif free < comfortable:
        yield Finding("disk", Verdict.WARNING, message, fix)
    else:
        yield Finding("disk", Verdict.OK, message)


def check_gpu(machine: Machine, settings: MeshSettings) -> Iterator[Finding]:
    """Check the driver and free memory of each GPU."""
    result = machine.run_command(*NVIDIA_SMI)
    if not result.succeeded:
        reason = result.output.splitlines()[0] if result.output else "nvidia-smi not found"
        if settings.profile == "gpu":
            fix = f"install NVIDIA's driver {_MIN_DRIVER} or newer, or set ANCHOR_PROFILE=cpu"
            yield Finding("driver", Verdict.PROBLEM, f"no GPU found: {reason}", fix)
        else:
            yield Finding("driver", Verdict.OK, f"no GPU found; the profile {settings.profile} needs none")
        return
    for line in result.output.splitlines():
        fields = [field.strip() for field in line.split(",")]
        if len(fields) != 4 or not (fields[2].isdecimal() and fields[3].isdecimal()):
            yield Finding(
                "driver", Verdict.WARNING, f"unexpected nvidia-smi output: {line!r}", "run `nvidia-smi` for details"
            )
            continue
        yield _check_driver(fields[0], fields[1])
        yield _check_gpu_memory(fields[0], int(fields[2]), int(fields[3]), settings)


def _check_driver(card: str, version: str) -> Finding:
    major = version.partition(".")[0]
    if major.isdecimal() and int(major) < _MIN_DRIVER:
        fix = f"install driver {_MIN_DRIVER} or newer"
        return Finding(
            "driver", Verdict.PROBLEM, f"{card} has driver {version}, which is too old for the model servers", fix
        )
    return Finding("driver", Verdict.OK, f"{card}, driver {version}")


def _check_gpu_memory(card: str, total_mib: int, used_mib: int, settings: MeshSettings) -> Finding:
    free_mib = total_mib - used_mib
    message = f"{card} has {free_mib / 1024:.1f} of {total_mib / 1024:.1f} GiB free"
    if settings.profile != "gpu" or free_mib >= _GPU_FREE_MIB:
        return Finding("gpu memory", Verdict.OK, message)
    plan = anchor_command("plan")
    if total_mib < _GPU_FREE_MIB:
        return Finding("gpu memory", Verdict.WARNING, message, f"choose models that fit: `{plan}`")
    fix = f"stop other programs on the GPU (`nvidia-smi` lists them; the mesh itself is fine), or run `{plan}`"
    return Finding("gpu memory", Verdict.WARNING, message, fix)


def check_containers(machine: Machine, settings: MeshSettings) -> Iterator[Finding]:
    """Check Docker, Compose and, for the profile gpu, the NVIDIA Container Toolkit."""
    engine = machine.run_command("docker", "version", "--format", "{{.Server.Version}}")
    if not engine.succeeded:
        missing = "is not installed" if not engine.found else f"does not respond: {engine.output[:120]}"
        verdict = Verdict.WARNING if settings.profile != "embedded" else Verdict.HINT
        fix = "install or start Docker for `make up`; `make run` works without it"
        yield Finding("docker", verdict, f"Docker {missing}", fix)
        return
    yield _check_version("docker", "Docker", engine, _MIN_DOCKER)
    yield _check_version(
        "compose", "Compose", machine.run_command("docker", "compose", "version", "--short"), _MIN_COMPOSE
    )
    if settings.profile == "gpu":
        yield _check_container_toolkit(machine.run_command("docker", "info", "--format", "{{json .Runtimes}}"))


def _check_version(check: str, name: str, answer: CommandResult, least: tuple[int, int]) -> Finding:
    found = re.search(r"(\d+)\.(\d+)", answer.output) if answer.succeeded else None
    minimum = ".".join(map(str, least))
    if found is None or (int(found[1]), int(found[2])) < least:
        message = f"{name} {found[0]} is older than {minimum}" if found else f"{name} is missing"
        return Finding(check, Verdict.PROBLEM, message, f"install {name} {minimum} or newer")
    return Finding(check, Verdict.OK, f"{name} {answer.output}")


def _check_container_toolkit(answer: CommandResult) -> Finding:
    try:
        known = "nvidia" in json.loads(answer.output)
    except (ValueError, TypeError):
        known = False
    if known:
        return Finding("container toolkit", Verdict.OK, "Docker has the runtime nvidia")
    fix = "install the NVIDIA Container Toolkit, then: nvidia-ctk runtime configure --runtime=docker; restart Docker"
    return Finding("container toolkit", Verdict.PROBLEM, "Docker has no runtime nvidia", fix)
