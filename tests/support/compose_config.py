"""compose.yaml as Docker Compose renders it: without a developer's .env, and without variables of the shell."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).parents[2]
NO_FILE = Path("/dev/null")


@cache
def has_compose() -> bool:
    """Whether the docker command and its Compose are installed; an engine is not needed."""
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode == 0


def compose_config(env_file: Path, *options: str, files: Sequence[Path] = (), **settings: str) -> str:
    """The output of `docker compose config` with these options. `settings` override the file; `files` come on top.

    Skips the test without Compose, fails it when the configuration is invalid.
    """
    if not has_compose():
        pytest.skip("docker compose is not installed")
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    command = ["docker", "compose", f"--project-directory={PROJECT}", f"--file={PROJECT / 'compose.yaml'}"]
    command += [f"--file={file}" for file in files]
    done = subprocess.run(
        [*command, f"--env-file={env_file}", "config", *options],
        env=environment | settings,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def rendered(env_file: Path = NO_FILE, **settings: str) -> dict[str, Any]:
    """The services by name, with every setting in place."""
    return json.loads(_config(env_file, tuple(settings.items())))["services"]


@cache
def _config(env_file: Path, settings: tuple[tuple[str, str], ...]) -> str:
    return compose_config(env_file, "--format=json", **dict(settings))
