"""Fixtures for the doctor's checks."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from anchor_cli.settings import MeshSettings


@pytest.fixture
def project(tmp_path: Path) -> MeshSettings:
    """A project with one model of each kind, none of them fetched."""
    digest = hashlib.sha256(b"weights").hexdigest()
    (tmp_path / "models.lock").write_text(f"""
[[model]]
name = "tiny"
licence = "MIT"
sets = ["minimal", "default"]
flat = true
files = [{{path = "tiny.onnx", sha256 = "{digest}", size_bytes = 7, sources = [{{hub = "a/b", path = "tiny.onnx"}}]}}]

[[model]]
kind = "hub"
name = "large"
repository = "example/large"
revision = "{"a" * 40}"
licence = "MIT"
profiles = ["gpu"]
files = [{{path = "large.gguf", sha256 = "{digest}", size_bytes = 7}}]

[[model]]
kind = "hub"
name = "unknown"
repository = "example/unknown"
revision = "main"
licence = "MIT"
profiles = ["gpu"]
files = [{{path = "unknown.gguf", sha256 = "", size_bytes = 0}}]
""")
    return MeshSettings(root=tmp_path, profile="gpu")
