"""Fixtures for the mesh."""

from __future__ import annotations

from pathlib import Path

import pytest
from anchor_cli.settings import MeshSettings


@pytest.fixture
def settings(tmp_path: Path) -> MeshSettings:
    return MeshSettings(root=tmp_path, stt_grpc_port=7001, orchestrator_http_port=7002)
