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
file = "tiny.onnx"
sha256 = "{digest}"
size_bytes = 7
licence = "MIT"
package = "tiny"
version = "1.0"
wheel_sha256 = "{"0" * 64}"
path_in_wheel = "tiny.onnx"

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
