"""Access to the machine for the checks."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from anchor_cli.dotenv_file import read_env_text
from anchor_cli.mesh.ports import TakenPort, find_taken_ports

_COMMAND_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class CommandResult:
    """Result of a command; `found` is False when the command does not exist."""

    output: str = ""
    succeeded: bool = False
    found: bool = True


class Machine(Protocol):
    """Queries that the checks make."""

    @property
    def python(self) -> tuple[int, int]: ...

    def run_command(self, *command: str) -> CommandResult:
        """Run a short command."""
        ...

    def free_bytes(self, folder: Path) -> int: ...

    def disk_of(self, folder: Path) -> int:
        """A number that folders on the same file system share."""
        ...

    def find_taken_ports(self, host: str, ports: list[int]) -> list[TakenPort]: ...

    def read_env_names(self, env_file: Path) -> Mapping[str, str]:
        """Variables in a file like .env, including commented ones; empty when the file is missing."""
        ...


class LocalMachine:
    """The machine of this process."""

    @property
    def python(self) -> tuple[int, int]:
        return sys.version_info[:2]

    def run_command(self, *command: str) -> CommandResult:
        """Run a short command; a timeout counts as failure."""
        try:
            done = subprocess.run(  # noqa: S603
                command, capture_output=True, text=True, timeout=_COMMAND_TIMEOUT_S, check=False
            )
        except FileNotFoundError:
            return CommandResult(found=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            return CommandResult(str(error))
        return CommandResult(done.stdout.strip() or done.stderr.strip(), done.returncode == 0)

    def free_bytes(self, folder: Path) -> int:
        """Free bytes of the disk of `folder`, which need not exist yet."""
        return shutil.disk_usage(_existing(folder)).free

    def disk_of(self, folder: Path) -> int:
        """The device number of the folder's file system; the folder need not exist yet."""
        return _existing(folder).stat().st_dev

    def find_taken_ports(self, host: str, ports: list[int]) -> list[TakenPort]:
        """Those of `ports` that are in use on `host`."""
        return find_taken_ports(host, ports)

    def read_env_names(self, env_file: Path) -> Mapping[str, str]:
        """Variables in `env_file`, including commented ones. Raises `InvalidRequest` when it cannot be read."""
        if not env_file.is_file():
            return {}
        lines = (line.lstrip("#").partition("=") for line in read_env_text(env_file).splitlines())
        return {name: value for name, equals, value in lines if equals and name.replace("_", "").isalnum()}


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    while not folder.exists():
        folder = folder.parent
    return folder
