"""The meshes of the suite, each started once and replaced after a trial that broke it."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from faulty_mesh import FaultyMesh, launch_faulty_mesh


@dataclass
class MeshPool:
    """The running meshes, by whether they have real speech."""

    folders: pytest.TempPathFactory
    running: dict[bool, tuple[FaultyMesh, ExitStack]] = field(default_factory=dict)

    def get(self, *, real_speech: bool = False) -> FaultyMesh:
        """The mesh of this kind; started when there is none."""
        if real_speech not in self.running:
            folder: Path = self.folders.mktemp("faults")
            stack = ExitStack()
            mesh = stack.enter_context(launch_faulty_mesh(folder, real_speech=real_speech))
            self.running[real_speech] = mesh, stack
        return self.running[real_speech][0]

    def discard(self, *, real_speech: bool = False) -> None:
        """Stop the mesh of this kind, so that what it suffered reaches no other trial."""
        if found := self.running.pop(real_speech, None):
            found[1].close()

    def close(self) -> None:
        """Stop all of them."""
        for real_speech in list(self.running):
            self.discard(real_speech=real_speech)
