"""One real mesh for all hostile clients, and what it takes to see whether they did harm."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from witness import HostileGround

# Replies that are longer than anybody here listens to, from engines that cost next to nothing.
SCRIPT = f"""
[stt]
transcripts = ["what is new"]
final_delay_ms = 20
[llm]
replies = ["{"Nothing at all has happened since you asked. " * 6}"]
first_token_delay_ms = 20
tokens_per_second = 500
[tts]
first_audio_delay_ms = 20
real_time_factor = 0.02
"""


def _load_launcher() -> Any:
    """The launcher of the end-to-end tests, which is a conftest and can be imported by its path alone."""
    path = Path(__file__).parents[1] / "e2e/conftest.py"
    spec = importlib.util.spec_from_file_location("anchor_mesh_launcher", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@contextmanager
def _ground(script: Path) -> Iterator[HostileGround]:
    script.write_text(SCRIPT, "utf-8")
    engines = {"STT_ENGINE": "scripted", "TTS_ENGINE": "scripted", "ORCHESTRATOR_LLM": "scripted"}
    with _load_launcher()._launched(ANCHOR_SCRIPT=str(script), **engines) as mesh:
        yield HostileGround(mesh)


@pytest.fixture(scope="session")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostileGround]:
    """A mesh on scripted engines that everybody attacks, one after another."""
    with _ground(tmp_path_factory.mktemp("hostile") / "script.toml") as ground:
        yield ground


@pytest.fixture
def own_ground(tmp_path: Path) -> Iterator[HostileGround]:
    """A mesh for one test, which may leave it full."""
    with _ground(tmp_path / "script.toml") as ground:
        yield ground
