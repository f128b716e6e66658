"""Fetching rows from their sources in order: what vanishes, lies, breaks off or gives no answer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from anchor_cli.model_store import carriers, origins
from anchor_cli.model_store.download import Download, FetchStopped
from anchor_cli.model_store.downloads import CARRIERS
from anchor_cli.model_store.pull import ModelStore
from file_store import COMPLETE, CONFIG, SMALL, WEIGHTS, hub_source, lines_of
from hub_double import Hub, placed
from registry_double import Registry, make_wheel, wheel_name
from service_kit.engines.models import model_folder, model_path
from service_kit.errors import EngineFailed

FIRST, SECOND = wheel_name("big-part1"), wheel_name("big-part2")


def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition was not met in time"
        time.sleep(0.02)


def test_wheels_are_joined_and_nothing_else_stays(pip_store: ModelStore, registry: Registry) -> None:
    assert pip_store.fetch_set() == {}
    assert placed(pip_store) == COMPLETE
    assert {path.name for path in pip_store.folder.iterdir()} == {"big", "small.onnx"}
    assert model_folder("big", pip_store.lock, pip_store.folder).name == "big"
    assert model_path("small", pip_store.lock, pip_store.folder).name == "small.onnx"
    assert sorted(registry.fetched()) == sorted([FIRST, SECOND, wheel_name("small")])


def test_verified_files_are_not_asked_for_again(file_store: ModelStore, registry: Registry, big_hub: Hub) -> None:
    file_store.fetch_set()
    before = len(registry.asked), len(big_hub.asked)
    assert file_store.fetch_set() == {}
    assert (len(registry.asked), len(big_hub.asked)) == before


def test_minimal_set_is_fetched_alone(file_store: ModelStore) -> None:
    assert replace(file_store, model_set="minimal").fetch_set() == {}
    assert placed(file_store) == {"small.onnx": SMALL}


def test_first_source_that_has_the_file_is_used(file_store: ModelStore, registry: Registry, big_hub: Hub) -> None:
    big_hub.files |= {"model.bin": WEIGHTS, "config.json": CONFIG}
    file_store.pull(["big"])
    assert placed(file_store) == {"big/model.bin": WEIGHTS, "big/config.json": CONFIG}
    assert registry.fetched() == []


def test_other_content_at_a_source_is_not_used(file_store: ModelStore, registry: Registry, big_hub: Hub) -> None:
    big_hub.files |= {"model.bin": WEIGHTS[:-1] + b"!", "config.json": CONFIG + b" "}
    file_store.pull(["big"])
    assert placed(file_store) == {"big/model.bin": WEIGHTS, "big/config.json": CONFIG}


def test_broken_download_of_a_hub_resumes(file_store: ModelStore, big_hub: Hub) -> None:
    big_hub.files |= {"model.bin": WEIGHTS, "config.json": CONFIG}
    big_hub.breaks = 200_000
    file_store.pull(["big"])
    ranges = [wanted for path, wanted in big_hub.asked if path.endswith("model.bin") and wanted]
    assert ranges == ["bytes=200000-", "bytes=400000-"]
    assert placed(file_store)["big/model.bin"] == WEIGHTS


@pytest.mark.parametrize(
    "content", [WEIGHTS[:-1] + b"!", WEIGHTS[:1000], b"", SMALL], ids=["bit", "half", "empty", "swapped"]
)
def test_changed_file_is_replaced_with_clear_words(file_store: ModelStore, content: bytes) -> None:
    file_store.fetch_set()
    (file_store.folder / "big/model.bin").write_bytes(content)
    assert file_store.fetch_set() == {}
    assert placed(file_store) == COMPLETE
    assert "big/model.bin: damaged or not the file that the lock names; replacing it" in lines_of(file_store)


def test_vanished_package_leaves_its_row_out(file_store: ModelStore, registry: Registry) -> None:
    del registry.files[SECOND]
    left_out = file_store.fetch_set()
    assert left_out.keys() == {"big"}
    # Each source gives its reason.
    assert "HTTP 404" in left_out["big"]
    assert "big-part2" in left_out["big"]
    assert placed(file_store)["small.onnx"] == SMALL
    with pytest.raises(EngineFailed, match="big-part2") as refused:
        file_store.pull(["big"])
    assert refused.value.code == "models.not_fetched"


def test_verified_parts_are_kept_until_the_file_is_there(file_store: ModelStore, registry: Registry) -> None:
    second = registry.files.pop(SECOND)
    assert file_store.fetch_set().keys() == {"big"}
    assert [path.name[:9] for path in (file_store.folder / CARRIERS).iterdir()] == ["big-part1"]
    registry.files[SECOND] = second
    registry.asked.clear()
    assert file_store.fetch_set() == {}
    assert registry.fetched() == [SECOND]
    assert placed(file_store) == COMPLETE


def test_packages_that_the_lock_does_not_name_are_removed(file_store: ModelStore, registry: Registry) -> None:
    """Of an earlier lock, and of a fetch that was killed; a kept part stays."""
    registry.files.pop(SECOND)
    file_store.fetch_set()
    (kept,) = (file_store.folder / CARRIERS).iterdir()
    (kept.parent / kept.name.replace("1.0", "0.9")).with_suffix(".old.whl").write_bytes(b"earlier")
    (kept.parent / ".fetch-abc/tmp").mkdir(parents=True)
    file_store.fetch_set()
    assert list(kept.parent.iterdir()) == [kept]


def test_damaged_kept_part_is_fetched_again(file_store: ModelStore, registry: Registry) -> None:
    second = registry.files.pop(SECOND)
    file_store.fetch_set()
    next((file_store.folder / CARRIERS).iterdir()).write_bytes(b"damaged")
    registry.files[SECOND] = second
    assert file_store.fetch_set() == {}
    assert placed(file_store) == COMPLETE


def test_package_of_another_hash_is_rejected(pip_store: ModelStore, registry: Registry) -> None:
    registry.files[SECOND] = make_wheel("big-part2", {"big_part2/data/2": b"other"})
    left_out = pip_store.fetch_set()
    assert "do not match" in left_out["big"].lower()
    assert not (pip_store.folder / "big/model.bin").exists()


def test_parts_that_give_another_file_are_rejected(file_store: ModelStore) -> None:
    text = file_store.lock.read_text()
    file_store.lock.write_text(text.replace("big_part1/data/1", "big_part1/data/config.json"))
    assert "is not the model.bin that the lock names" in file_store.fetch_set()["big"]
    assert not (file_store.folder / "big/model.bin").exists()


def test_silent_hub_is_passed_over_for_all_rows(file_store: ModelStore, registry: Registry) -> None:
    # The index stands in for a hub that accepts connections and never answers.
    registry.held = ["example/big"]
    began = time.monotonic()
    assert replace(file_store, hub_url=registry.url).fetch_set() == {}
    assert time.monotonic() - began >= origins.ANSWER_S
    # One question for the two files.
    assert len([path for path in registry.asked if "example" in path]) == 1
    assert placed(file_store) == COMPLETE


def test_refused_connection_is_passed_over(file_store: ModelStore) -> None:
    assert replace(file_store, hub_url="http://127.0.0.1:9").fetch_set() == {}
    assert placed(file_store) == COMPLETE


def test_silent_index_is_asked_one_question(
    pip_store: ModelStore, registry: Registry, big_hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    big_hub.files |= {"model.bin": WEIGHTS, "config.json": CONFIG}
    monkeypatch.setattr(carriers, "ANSWER_S", 1.0)
    registry.held = ["/simple/"]
    left_out = pip_store.fetch_set()
    assert left_out.keys() == {"small"}
    assert "pypi: no answer" in left_out["small"]
    assert len(registry.asked) == 1
    assert placed(pip_store).keys() == {"big/model.bin", "big/config.json"}


def test_download_without_bytes_is_given_up(
    pip_store: ModelStore, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carriers, "_CLIENT_TIMEOUT_S", 1)
    registry.held = [f"/files/{SECOND}"]
    left_out = pip_store.fetch_set()
    assert left_out.keys() == {"big"}
    assert placed(pip_store)["small.onnx"] == SMALL


def test_own_copies_are_used_before_any_source(
    file_store: ModelStore, registry: Registry, big_hub: Hub, tmp_path: Path
) -> None:
    own = tmp_path / "own"
    (own / "big").mkdir(parents=True)
    (own / "big/model.bin").write_bytes(WEIGHTS)
    (own / "big/config.json").write_bytes(b"{}")
    (own / "small.onnx").write_bytes(SMALL)
    assert replace(file_store, own=own).fetch_set() == {}
    assert placed(file_store) == COMPLETE
    assert registry.fetched() == [FIRST]
    assert "big/config.json: " in lines_of(file_store)
    assert "is not used" in lines_of(file_store)


def test_row_that_does_not_fit_on_the_disk_is_left_out(file_store: ModelStore, registry: Registry) -> None:
    little = replace(file_store, free_bytes=lambda folder: (256 << 20) + 100_000)
    left_out = little.fetch_set()
    assert left_out.keys() == {"big"}
    assert "MB of disk are needed" in left_out["big"]
    assert placed(file_store) == {"small.onnx": SMALL}


def test_two_sources_silent_leave_the_row_out_once(file_store: ModelStore, registry: Registry) -> None:
    nowhere = replace(file_store, hub_url="http://127.0.0.1:9")
    registry.files.clear()
    assert nowhere.fetch_set().keys() == {"small", "big"}
    assert placed(file_store) == {}


def test_interrupted_fetch_goes_on_with_what_is_complete(
    pip_store: ModelStore, registry: Registry, big_hub: Hub
) -> None:
    registry.held = [f"/files/{SECOND}"]
    settings = {
        "ANCHOR_MODELS_LOCK": str(pip_store.lock),
        "ANCHOR_MODELS_DIR": str(pip_store.folder),
        "ANCHOR_MODELS_HUB_URL": big_hub.url,
        "ANCHOR_MODELS": "default",
    }
    command = [sys.executable, "-m", "anchor_cli", "models"]
    fetch = subprocess.Popen(command, env=os.environ | settings, stdout=subprocess.PIPE, text=True)
    parts = pip_store.folder / CARRIERS
    until(lambda: any(parts.glob("big-part1*")) and f"/files/{SECOND}" in registry.asked)
    fetch.send_signal(signal.SIGINT)
    output, _ = fetch.communicate(timeout=120)
    assert (fetch.returncode, "stopped" in output) == (130, True)
    # The package client ended too.
    assert list(parts.glob(".fetch-*")) == []
    registry.held.clear()
    registry.released.set()
    registry.asked.clear()
    assert pip_store.fetch_set() == {}
    assert registry.fetched() == [SECOND]
    assert placed(pip_store) == COMPLETE


def test_stopped_download_keeps_what_has_arrived(big_hub: Hub, tmp_path: Path) -> None:
    big_hub.files["model.bin"] = WEIGHTS
    part = tmp_path / "model.bin.part"

    def stop(here: int, total: int) -> None:
        raise FetchStopped

    url = f"{big_hub.url}/model.bin"
    with httpx.Client() as client, pytest.raises(FetchStopped):
        Download(client, url, "model.bin", len(WEIGHTS), part, stop, lambda: 1 << 30, checks_format=False).run()
    arrived = part.read_bytes()
    assert len(arrived) > 0
    assert WEIGHTS.startswith(arrived)


def test_hub_is_preferred_only_in_the_order_of_the_lock(file_store: ModelStore, big_hub: Hub) -> None:
    big_hub.files |= {"model.bin": WEIGHTS, "config.json": CONFIG}
    text = file_store.lock.read_text()
    wheels = '{parts = ["big-part1:big_part1/data/1", "big-part2:big_part2/data/2"]}'
    swapped = text.replace(f"{hub_source('model.bin')}, {wheels}", f"{wheels}, {hub_source('model.bin')}")
    assert swapped != text
    file_store.lock.write_text(swapped)
    file_store.pull(["big"])
    assert [path.rpartition("/")[2] for path, _ in big_hub.asked if path.endswith("model.bin")] == []
