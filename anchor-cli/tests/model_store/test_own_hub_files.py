"""Models of a hub that were pulled elsewhere on this machine: they are copied, and not downloaded again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from anchor_cli.model_store.pull import ModelStore
from hub_double import CONFIG, PINNED, UNKNOWN, UNLISTED, WEIGHTS, Hub, placed, store_of
from service_kit.engines.hub import read_trusted, verify_against_lock


@pytest.fixture(params=[PINNED, UNKNOWN, UNLISTED], ids=["pinned", "unknown", "unlisted"])
def pulled(request: pytest.FixtureRequest, store: ModelStore) -> ModelStore:
    """A store that has pulled the model."""
    store.lock.write_text(request.param)
    store.pull(["tiny"])
    return store


@pytest.fixture
def second(pulled: ModelStore, hub: Hub) -> ModelStore:
    """A store of another folder, which knows of the first one."""
    hub.asked.clear()
    return replace(pulled, folder=pulled.folder.with_name("volume"), own=pulled.folder)


def said_by(store: ModelStore) -> list[str]:
    return store.progress.lines  # type: ignore[attr-defined]


def test_pulled_files_are_copied_with_their_hashes(second: ModelStore, hub: Hub) -> None:
    second.pull(["tiny"])
    assert hub.asked == []
    files = {name: content for name, content in placed(second).items() if name != "trusted.lock"}
    assert files == {"tiny/model.safetensors": WEIGHTS, "tiny/config.json": CONFIG}
    assert verify_against_lock(second.folder / "tiny", second.lock)


def test_only_a_changed_copy_is_downloaded(second: ModelStore, hub: Hub) -> None:
    assert second.own is not None
    (second.own / "tiny/config.json").write_bytes(b'{"dim": 65}')
    second.pull(["tiny"])
    assert [path.rpartition("/")[2] for path, _ in hub.asked] == ["config.json"]
    assert placed(second)["tiny/config.json"] == CONFIG
    assert any("config.json is not used" in line for line in said_by(second))


def test_folder_that_cannot_be_read_is_no_reason_to_fail(
    second: ModelStore, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = second.own
    assert own is not None
    reads = Path.open

    def guarded(path: Path, *arguments: object, **options: object) -> object:
        if path.is_relative_to(own):
            raise PermissionError(13, "Permission denied", str(path))
        return reads(path, *arguments, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", guarded)
    second.pull(["tiny"])
    assert placed(second)["tiny/model.safetensors"] == WEIGHTS
    assert any("is not used" in line for line in said_by(second))
    assert len(hub.fetched) == 2


def test_half_pulled_folder_gives_what_it_has(store: ModelStore, hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    first = replace(store_of(hub, tmp_path / "other"), sleep=lambda seconds: None)
    first.lock.write_text(UNKNOWN)
    first.pull(["tiny"])
    (first.folder / "tiny/model.safetensors").unlink()
    store.lock.write_text(UNKNOWN)
    hub.asked.clear()
    replace(store, own=first.folder).pull(["tiny"])
    assert [path.rpartition("/")[2] for path, _ in hub.asked] == ["model.safetensors"]
    assert read_trusted(store.folder).keys() == {"tiny/model.safetensors", "tiny/config.json"}
