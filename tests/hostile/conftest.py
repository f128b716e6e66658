"""One real mesh for all hostile clients, with the instruments of `AttackedMesh` on it.

On scripted engines, which cost almost nothing; with `ANCHOR_MODELS=default` on the default ones.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from attacked_mesh import AttackedMesh
from mesh_launcher import launch_mesh, launch_scripted_mesh

# Replies that are longer than any client here listens, from engines that cost almost nothing.
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


@contextmanager
def _attacked_mesh(script: Path) -> Iterator[AttackedMesh]:
    if os.environ["ANCHOR_MODELS"] == "default":
        with launch_mesh() as mesh:
            yield AttackedMesh(mesh)
        return
    script.write_text(SCRIPT, "utf-8")
    with launch_scripted_mesh(script) as mesh:
        yield AttackedMesh(mesh)


@pytest.fixture(scope="session")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AttackedMesh]:
    """A mesh that all tests attack, one after another."""
    with _attacked_mesh(tmp_path_factory.mktemp("hostile") / "script.toml") as mesh:
        yield mesh


@pytest.fixture
def fresh_mesh(tmp_path: Path) -> Iterator[AttackedMesh]:
    """A mesh for one test, which may leave it full."""
    with _attacked_mesh(tmp_path / "script.toml") as mesh:
        yield mesh
