"""What a result holds for: the card, the versions, and the settings. Its fingerprint decides what is run again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from anchor_cli.doctor.machine import Machine
from anchor_cli.doctor.machine_checks import NVIDIA_SMI
from anchor_cli.plan.detection import DetectedCard

# The files that name the versions of the programs, images and models.
_VERSION_FILES = (
    "compose.yaml",
    "models.lock",
    "requirements.lock",
    "engines-requirements.lock",
    "tts-service/gpu-requirements.lock",
)
# The settings that decide what runs on the card, and how.
_PREFIXES = (
    "ANCHOR_GPU",
    "ANCHOR_PROFILE",
    "GPU_",
    "LLM_OLLAMA_",
    "OLLAMA_",
    "STT_",
    "TTS_",
    "VOXTRAL_",
    "MAX_LATENCY_MS",
)


def describe_subject(
    root: Path, card: DetectedCard | None, driver: str, environment: Mapping[str, str], rehearsal: bool
) -> dict[str, Any]:
    """The card, versions and settings; secrets are not among these settings."""
    versions = {name: _digest(root / name) for name in _VERSION_FILES}
    settings = {name: value for name, value in sorted(environment.items()) if name.startswith(_PREFIXES)}
    described = {"title": card.title, "memory_mib": card.memory_mib, "compute": card.compute} if card else None
    return {"card": described, "driver": driver, "versions": versions, "settings": settings, "rehearsal": rehearsal}


def fingerprint(subject: Mapping[str, Any]) -> str:
    """Sixteen hexadecimal digits that change with every part of `subject`."""
    return hashlib.sha256(json.dumps(subject, sort_keys=True).encode()).hexdigest()[:16]


def of_the_card(query: Sequence[str], environment: Mapping[str, str]) -> tuple[str, ...]:
    """A query of nvidia-smi for the one card that the containers get: `ANCHOR_GPU`, an index or a UUID."""
    return (*query, f"--id={environment.get('ANCHOR_GPU') or 0}")


def read_driver(machine: Machine, environment: Mapping[str, str]) -> str:
    """The driver's version, such as 580.95; empty without a driver."""
    answer = machine.run_command(*of_the_card(NVIDIA_SMI, environment))
    fields = answer.output.splitlines()[0].split(",") if answer.succeeded and answer.output else []
    return fields[1].strip() if len(fields) > 1 else ""


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16] if path.is_file() else ""
