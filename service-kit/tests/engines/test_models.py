"""Model files are verified by hash, and rejected when anything differs."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from service_kit.engines.models import model_folder, model_path, verify
from service_kit.errors import EngineFailed

WEIGHTS = b"weights" * 100
CONFIG = b"{}"


def file_text(path: str, content: bytes) -> str:
    digest = hashlib.sha256(content).hexdigest()
    source = f'{{hub = "example/tiny", path = "{path}"}}'
    return f'{{path = "{path}", size_bytes = {len(content)}, sha256 = "{digest}", sources = [{source}]}}'


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / "models.lock"
    path.write_text(f"""
[[model]]
name = "flat"
licence = "MIT"
sets = ["minimal", "default"]
flat = true
files = [{file_text("flat.onnx", WEIGHTS)}]

[[model]]
name = "tiny"
licence = "MIT"
sets = ["default"]
files = [{file_text("model.bin", WEIGHTS)}, {file_text("configs/config.json", CONFIG)}]

[[model]]
name = "optional"
licence = "MIT"
files = [{file_text("model.bin", WEIGHTS)}]
""")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    (folder / "tiny/configs").mkdir(parents=True)
    (folder / "tiny/model.bin").write_bytes(WEIGHTS)
    (folder / "tiny/configs/config.json").write_bytes(CONFIG)
    (folder / "flat.onnx").write_bytes(WEIGHTS)
    return folder


def test_verified_models_are_returned(lock: Path, folder: Path) -> None:
    assert model_folder("tiny", lock, folder) == folder / "tiny"
    assert model_path("flat", lock, folder) == folder / "flat.onnx"


@pytest.mark.parametrize("path", ["model.bin", "configs/config.json"])
@pytest.mark.parametrize(
    ("content", "code"),
    [(None, "missing"), (WEIGHTS[:-1] + b"!", "mismatch"), (WEIGHTS[:50], "mismatch"), (b"", "mismatch")],
)
def test_incomplete_folder_is_rejected(lock: Path, folder: Path, path: str, content: bytes | None, code: str) -> None:
    file = folder / "tiny" / path
    file.unlink() if content is None else file.write_bytes(content)
    with pytest.raises(EngineFailed, match=r"run `.*anchor models`") as refused:
        model_folder("tiny", lock, folder)
    assert refused.value.code == f"models.{code}"


def test_changed_file_is_rejected_with_both_hashes(lock: Path, folder: Path) -> None:
    (folder / "flat.onnx").write_bytes(b"other")
    wanted, found = (hashlib.sha256(content).hexdigest()[:12] for content in (WEIGHTS, b"other"))
    with pytest.raises(EngineFailed, match=rf"{found}.*wanted {wanted}") as refused:
        model_path("flat", lock, folder)
    assert refused.value.code == "models.mismatch"


def test_model_of_no_set_names_its_own_command(lock: Path, folder: Path) -> None:
    with pytest.raises(EngineFailed, match=r"run `.*anchor pull optional`"):
        model_folder("optional", lock, folder)


def test_folder_of_files_has_no_path(lock: Path, folder: Path) -> None:
    with pytest.raises(EngineFailed, match="2 files"):
        model_path("tiny", lock, folder)


def test_unknown_name_is_rejected_with_the_known_ones(lock: Path, folder: Path) -> None:
    with pytest.raises(EngineFailed, match="it has flat, optional, tiny") as refused:
        model_folder("huge", lock, folder)
    assert refused.value.code == "models.unknown"


def test_unreadable_file_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(EngineFailed, match="run `make model`") as refused:
        verify(tmp_path, "0" * 64, "make model")
    assert refused.value.code == "models.missing"
