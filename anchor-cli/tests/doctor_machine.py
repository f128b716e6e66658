"""A fake machine for the doctor's checks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from anchor_cli.doctor.finding import Finding
from anchor_cli.doctor.machine import CommandResult
from anchor_cli.mesh.ports import TakenPort
from anchor_cli.settings import MeshSettings

GOOD_GPU = CommandResult("NVIDIA RTX 6000 Ada Generation, 580.86.15, 49140, 500", succeeded=True)


ABSENT = CommandResult(found=False)


@dataclass
class FakeMachine:
    """Returns the configured answers; a command is matched by its first words."""

    python: tuple[int, int] = (3, 12)
    free: int = 500 * 10**9
    # Free bytes of other disks, by the folder that each is mounted at.
    disks: dict[str, int] = field(default_factory=dict)
    taken: list[TakenPort] = field(default_factory=list)
    answers: dict[str, CommandResult] = field(default_factory=dict)
    env: dict[str, dict[str, str]] = field(default_factory=dict)

    def run_command(self, *command: str) -> CommandResult:
        line = " ".join(command)
        return next((answer for start, answer in self.answers.items() if line.startswith(start)), ABSENT)

    def free_bytes(self, folder: Path) -> int:
        return self.disks.get(self._mount_of(folder), self.free)

    def disk_of(self, folder: Path) -> int:
        return hash(self._mount_of(folder))

    def _mount_of(self, folder: Path) -> str:
        return next((mount for mount in self.disks if folder.is_relative_to(mount)), "/")

    def find_taken_ports(self, host: str, ports: list[int]) -> list[TakenPort]:
        return [port for port in self.taken if port.port in ports]

    def read_env_names(self, env_file: Path) -> Mapping[str, str]:
        return self.env.get(env_file.name, {})


DOCKER = {
    "docker version": CommandResult("27.1.1", succeeded=True),
    "docker compose": CommandResult("v2.29.0", succeeded=True),
    "docker info": CommandResult('{"nvidia": {}, "runc": {}}', succeeded=True),
}


GPU = MeshSettings(profile="gpu")


EMBEDDED = MeshSettings(profile="embedded")


def the(findings: object) -> Finding:
    (finding,) = findings  # type: ignore[misc]
    return finding
