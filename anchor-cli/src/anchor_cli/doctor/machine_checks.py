"""Python, disk, GPU, containers: whether the machine can carry the profile."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from anchor_cli.doctor.finding import Finding, Verdict
from anchor_cli.doctor.machine import Answer, Machine
from anchor_cli.settings import MeshSettings

NVIDIA_SMI = (
    "nvidia-smi",
    "--query-gpu=name,driver_version,memory.total,memory.used",
    "--format=csv,noheader,nounits",
)
# What the container images of the model servers ask for.
_LEAST_DRIVER = 550
_LEAST_DOCKER = (25, 0)
_LEAST_COMPOSE = (2, 24)
# What the profile gpu is made for, of a card of 48 GB.
_GPU_FREE_MIB = 40 * 1024
# Per profile, in GB: less is too little; less than the second is tight.
_DISK_GB = {"embedded": (2, 5), "cpu": (8, 15), "gpu": (30, 60)}


def check_python(machine: Machine) -> Iterator[Finding]:
    """Whether the services run on this Python."""
    major, minor = machine.python
    version = f"Python {major}.{minor}"
    if (major, minor) < (3, 11):
        yield Finding("python", Verdict.PROBLEM, f"{version} is too old", "install 3.12: make setup PYTHON=python3.12")
    elif (major, minor) > (3, 12):
        fix = "if a package has no wheel for it: make clean setup PYTHON=python3.12"
        yield Finding("python", Verdict.WARNING, f"{version} is newer than those tried, 3.11 and 3.12", fix)
    else:
        yield Finding("python", Verdict.OK, version)


def check_disk(machine: Machine, settings: MeshSettings) -> Iterator[Finding]:
    """Whether there is room for images and models."""
    free = machine.free_bytes(settings.root / settings.models_dir) / 1e9
    least, comfortable = _DISK_GB[settings.profile]
    message = f"{free:.0f} GB are free; the profile {settings.profile} wants {comfortable}"
    fix = "make room, or set ANCHOR_MODELS_DIR to a larger disk"
    if free < least:
        yield Finding("disk", Verdict.PROBLEM, message, fix)
    elif free < comfortable:
        yield Finding("disk", Verdict.WARNING, message, fix)
    else:
        yield Finding("disk", Verdict.OK, message)


def check_gpu(machine: Machine, settings: MeshSettings) -> Iterator[Finding]:
    """Driver and memory of each GPU."""
    answer = machine.ask(*NVIDIA_SMI)
    if not answer.succeeded:
        reason = answer.output.splitlines()[0] if answer.output else "there is no nvidia-smi"
        if settings.profile == "gpu":
            fix = f"install NVIDIA's driver {_LEAST_DRIVER} or newer, or set ANCHOR_PROFILE=cpu"
            yield Finding("driver", Verdict.PROBLEM, f"no GPU is seen: {reason}", fix)
        else:
            yield Finding("driver", Verdict.OK, f"no GPU is seen, and the profile {settings.profile} needs none")
        return
    for line in answer.output.splitlines():
        fields = [field.strip() for field in line.split(",")]
        if len(fields) != 4 or not (fields[2].isdecimal() and fields[3].isdecimal()):
            yield Finding(
                "driver", Verdict.WARNING, f"nvidia-smi says {line!r}", "see what `nvidia-smi` says by itself"
            )
            continue
        yield _driver(fields[0], fields[1])
        yield _memory(fields[0], int(fields[2]), int(fields[3]), settings)


def _driver(card: str, version: str) -> Finding:
    major = version.partition(".")[0]
    if major.isdecimal() and int(major) < _LEAST_DRIVER:
        fix = f"install driver {_LEAST_DRIVER} or newer"
        return Finding("driver", Verdict.PROBLEM, f"{card} has driver {version}: the model servers need newer", fix)
    return Finding("driver", Verdict.OK, f"{card}, driver {version}")


def _memory(card: str, total_mib: int, used_mib: int, settings: MeshSettings) -> Finding:
    free_mib = total_mib - used_mib
    message = f"{card} has {free_mib / 1024:.1f} of {total_mib / 1024:.1f} GiB free"
    if settings.profile != "gpu" or free_mib >= _GPU_FREE_MIB:
        return Finding("gpu memory", Verdict.OK, message)
    if total_mib < _GPU_FREE_MIB:
        return Finding("gpu memory", Verdict.WARNING, message, "choose models that fit: `anchor plan`")
    fix = "unless it is the mesh itself, end what holds it: `nvidia-smi` names it; or `anchor plan`"
    return Finding("gpu memory", Verdict.WARNING, message, fix)


def check_containers(machine: Machine, settings: MeshSettings) -> Iterator[Finding]:
    """Docker, Compose, and the NVIDIA Container Toolkit where a GPU is to be used."""
    engine = machine.ask("docker", "version", "--format", "{{.Server.Version}}")
    if not engine.succeeded:
        missing = "is not installed" if not engine.found else f"does not answer: {engine.output[:120]}"
        verdict = Verdict.WARNING if settings.profile != "embedded" else Verdict.HINT
        fix = "install or start Docker for `make up`; `make run` works without"
        yield Finding("docker", verdict, f"Docker {missing}", fix)
        return
    yield _version("docker", "Docker", engine, _LEAST_DOCKER)
    yield _version("compose", "Compose", machine.ask("docker", "compose", "version", "--short"), _LEAST_COMPOSE)
    if settings.profile == "gpu":
        yield _toolkit(machine.ask("docker", "info", "--format", "{{json .Runtimes}}"))


def _version(check: str, name: str, answer: Answer, least: tuple[int, int]) -> Finding:
    found = re.search(r"(\d+)\.(\d+)", answer.output) if answer.succeeded else None
    wanted = ".".join(map(str, least))
    if found is None or (int(found[1]), int(found[2])) < least:
        said = f"{name} {found[0]} is older than {wanted}" if found else f"{name} is missing"
        return Finding(check, Verdict.PROBLEM, said, f"install {name} {wanted} or newer")
    return Finding(check, Verdict.OK, f"{name} {answer.output}")


def _toolkit(answer: Answer) -> Finding:
    try:
        known = "nvidia" in json.loads(answer.output)
    except (ValueError, TypeError):
        known = False
    if known:
        return Finding("container toolkit", Verdict.OK, "Docker knows the runtime nvidia")
    fix = "install the NVIDIA Container Toolkit, then: nvidia-ctk runtime configure --runtime=docker; restart Docker"
    return Finding("container toolkit", Verdict.PROBLEM, "Docker knows no runtime nvidia", fix)
