"""Checks of Python, disk, GPU and containers for the configured profile."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from service_kit.anchor_command import anchor_command

from anchor_cli.doctor.finding import Finding, Verdict
from anchor_cli.doctor.machine import CommandResult, Machine
from anchor_cli.settings import MeshSettings

NVIDIA_SMI = (
    "nvidia-smi",
    "--query-gpu=name,driver_version,memory.total,memory.used",
    "--format=csv,noheader,nounits",
)
# The CUDA generation that the pinned GPU software is built for: torch of tts-service's image (the index's build for
# Linux) and vLLM's image. Ollama's brings builds for 12 and 13.
CUDA_OF = {"torch==2.13.0": 13, "vllm==0.33.0": 13}
# NVIDIA's least driver for a CUDA generation on Linux ("CUDA minor version compatibility" of its release notes).
DRIVER_OF_CUDA = {12: 525, 13: 580}
MIN_DRIVER = max(DRIVER_OF_CUDA[cuda] for cuda in CUDA_OF.values())
MIN_DOCKER = (25, 0)
MIN_COMPOSE = (2, 24)
# The profile gpu is designed for a card with 48 GB.
_GPU_FREE_MIB = 40 * 1024
# Per profile, in GB: below the first is a problem, below the second a warning. With a GPU, Voxtral and higgs-audio take
# 21 GB in the models folder ...
MODELS_GB = {"embedded": (2, 5), "cpu": (8, 15), "gpu": (22, 30)}
# ... and on Docker's disk the language model takes 14 GB, the images about 42 (docs/full-anchor.md has the sum).
DOCKER_GB = (56, 70)


def check_python(machine: Machine) -> Iterator[Finding]:
    """Check that the services support this Python."""
    major, minor = machine.python
    version = f"Python {major}.{minor}"
    if (major, minor) < (3, 11):
        yield Finding("python", Verdict.PROBLEM, f"{version} is too old", "install 3.13: make setup PYTHON=python3.13")
    elif (major, minor) > (3, 13):
        fix = "if a package has no wheel for it: make clean setup PYTHON=python3.13"
        yield Finding("python", Verdict.WARNING, f"{version} is newer than the tested versions 3.11 to 3.13", fix)
    elif (major, minor) == (3, 12):
        yield Finding("python", Verdict.OK, f"{version}; PocketSphinx has no wheel for it, Whisper recognises")
    else:
        yield Finding("python", Verdict.OK, version)


def check_disk(machine: Machine, settings: MeshSettings) -> Iterator[Finding]:
    """Check the free disk space for models, and with a GPU for images, which Docker may keep on another disk."""
    folder = settings.root / settings.models_dir
    models, docker = MODELS_GB[settings.profile], DOCKER_GB
    docker_folder = _docker_folder(machine) if settings.profile == "gpu" else None
    if docker_folder is None:
        needs = (models[0] + docker[0], models[1] + docker[1]) if settings.profile == "gpu" else models
        yield _check_space(machine, folder, needs, f"the profile {settings.profile}")
    elif machine.disk_of(docker_folder) == machine.disk_of(folder):
        both = (models[0] + docker[0], models[1] + docker[1])
        yield _check_space(machine, folder, both, "the models and Docker's images")
    else:
        yield _check_space(machine, folder, models, "the models")
        yield _check_space(machine, docker_folder, docker, "Docker's images and the language model")


def _docker_folder(machine: Machine) -> Path | None:
    """Docker's own folder; None without Docker, and where it is inside a virtual machine."""
    answer = machine.run_command("docker", "info", "--format", "{{.DockerRootDir}}")
    folder = Path(answer.output)
    return folder if answer.succeeded and folder.is_absolute() and folder.is_dir() else None


def _check_space(machine: Machine, folder: Path, needs: tuple[int, int], content: str) -> Finding:
    """Compare the free bytes of the folder's disk with the least and the comfortable number of GB."""
    free = machine.free_bytes(folder) / 1e9
    least, comfortable = needs
    message = f"{free:.0f} GB free at {folder}; {content} need {comfortable}"
    fix = "free disk space there, or let the folder be a link to a larger disk"
    if free < least:
        return Finding("disk", Verdict.PROBLEM, message, fix)
    if free < comfortable:
        return Finding("disk", Verdict.WARNING, message, fix)
    return Finding("disk", Verdict.OK, message)


def check_gpu(machine: Machine, settings: MeshSettings) -> Iterator[Finding]:
    """Check the driver and free memory of each GPU."""
    result = machine.run_command(*NVIDIA_SMI)
    if not result.succeeded:
        reason = result.output.splitlines()[0] if result.output else "nvidia-smi not found"
        if settings.profile == "gpu":
            fix = f"install NVIDIA's driver {MIN_DRIVER} or newer, or set ANCHOR_PROFILE=cpu"
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
        yield _check_driver(fields[0], fields[1], settings)
        yield _check_gpu_memory(fields[0], int(fields[2]), int(fields[3]), settings)


def _check_driver(card: str, version: str, settings: MeshSettings) -> Finding:
    major = version.partition(".")[0]
    if settings.profile == "gpu" and major.isdecimal() and int(major) < MIN_DRIVER:
        fix = f"install driver {MIN_DRIVER} or newer, which CUDA {max(CUDA_OF.values())} needs"
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
    yield _check_version("docker", "Docker", engine, MIN_DOCKER)
    yield _check_version(
        "compose", "Compose", machine.run_command("docker", "compose", "version", "--short"), MIN_COMPOSE
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
