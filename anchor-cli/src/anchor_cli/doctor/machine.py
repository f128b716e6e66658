"""This machine, as far as the checks look at it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from anchor_cli.mesh.ports import TakenPort, taken_ports

_COMMAND_WITHIN_S = 10.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command said; `found` is False when there is no such command."""

    output: str = ""
    succeeded: bool = False
    found: bool = True


class Machine(Protocol):
    """What the checks ask of a machine."""

    @property
    def python(self) -> tuple[int, int]: ...

    def ask(self, *command: str) -> Answer:
        """What a short command says."""
        ...

    def free_bytes(self, folder: Path) -> int: ...

    def taken_ports(self, host: str, ports: list[int]) -> list[TakenPort]: ...

    def names_in(self, env_file: Path) -> Mapping[str, str]:
        """The settings that a file like .env names, commented ones too; empty when there is no such file."""
        ...


class ThisMachine:
    """The machine that this process runs on."""

    @property
    def python(self) -> tuple[int, int]:
        return sys.version_info[:2]

    def ask(self, *command: str) -> Answer:
        """What a short command says; a command that hangs has failed."""
        try:
            done = subprocess.run(  # noqa: S603
                command, capture_output=True, text=True, timeout=_COMMAND_WITHIN_S, check=False
            )
        except FileNotFoundError:
            return Answer(found=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            return Answer(str(error))
        return Answer(done.stdout.strip() or done.stderr.strip(), done.returncode == 0)

    def free_bytes(self, folder: Path) -> int:
        """What is free where `folder` is, or will be."""
        while not folder.exists():
            folder = folder.parent
        return shutil.disk_usage(folder).free

    def taken_ports(self, host: str, ports: list[int]) -> list[TakenPort]:
        """Those of `ports` that somebody has."""
        return taken_ports(host, ports)

    def names_in(self, env_file: Path) -> Mapping[str, str]:
        """The settings that `env_file` names."""
        if not env_file.is_file():
            return {}
        lines = (line.lstrip("#").partition("=") for line in env_file.read_text("utf-8").splitlines())
        return {name: value for name, equals, value in lines if equals and name.replace("_", "").isalnum()}
