"""Models whose files the hub lists, because the lock names none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from anchor_cli.app import app
from anchor_cli.model_store.pull import ModelStore
from hub_double import COMMIT, CONFIG, UNLISTED, WEIGHTS, Hub, placed
from service_kit.engines.hub import verify_against_lock
from service_kit.errors import EngineFailed, PeerFailed
from typer.testing import CliRunner


@pytest.fixture
def store(store: ModelStore) -> ModelStore:
    store.lock.write_text(UNLISTED)
    return store


def asked(hub: Hub) -> list[str]:
    return [path.removeprefix("/example/tiny/resolve/") for path, _ in hub.asked]


def test_list_without_hashes_is_rejected_without_trust(store: ModelStore, hub: Hub) -> None:
    hub.states_hashes = False
    with pytest.raises(EngineFailed, match=r"hash of tiny/config\.json, .*; --trust-on-first-use") as refused:
        store.pull(["gpu"])
    assert (refused.value.code, hub.fetched) == ("models.unknown_hash", [])
    assert not verify_against_lock(store.folder / "tiny", store.lock, store.folder)


def test_listed_weights_and_json_are_fetched_at_the_listed_commit(store: ModelStore, hub: Hub) -> None:
    hub.files |= {"README.md": b"# Tiny", "model.py": b"import os", "pytorch_model.bin": b"\x80\x02}"}
    hub.gone = ["original/model.safetensors"]
    store.pull(["tiny"])
    assert {name: held for name, held in placed(store).items() if name != "trusted.lock"} == {
        "tiny/model.safetensors": WEIGHTS,
        "tiny/config.json": CONFIG,
    }
    assert asked(hub) == [
        "/api/models/example/tiny/revision/main",
        f"{COMMIT}/config.json",
        f"{COMMIT}/model.safetensors",
    ]
    assert verify_against_lock(store.folder / "tiny", store.lock, store.folder)
    store.pull(["tiny"])
    store.pull(["tiny"], offline=True)
    assert len(hub.asked) == 3


def test_aborted_pull_is_incomplete_and_resumes(store: ModelStore, hub: Hub) -> None:
    hub.gone = ["model-00002-of-00002.safetensors"]
    with pytest.raises(PeerFailed, match="no such file"):
        store.pull(["tiny"])
    with pytest.raises(EngineFailed, match="model-00002-of-00002") as unfinished:
        verify_against_lock(store.folder / "tiny", store.lock, store.folder)
    assert unfinished.value.code == "models.unknown_hash"
    # The next pull fetches the missing files of the stored listing.
    hub.files |= {"model-00002-of-00002.safetensors": WEIGHTS, "later.json": b"{}"}
    hub.gone = []
    hub.asked.clear()
    store.pull(["tiny"])
    assert [path.rpartition("/")[2] for path, _ in hub.fetched] == [
        "model-00002-of-00002.safetensors",
        "model.safetensors",
    ]
    assert {path.split("/")[4] for path, _ in hub.fetched} == {COMMIT}
    assert not (store.folder / "tiny/later.json").exists()
    assert verify_against_lock(store.folder / "tiny", store.lock, store.folder)


def test_partial_file_of_the_listed_commit_resumes(store: ModelStore, hub: Hub) -> None:
    hub.gone = ["about.json"]
    with pytest.raises(PeerFailed):
        store.pull(["tiny"])
    (store.folder / "tiny/model.safetensors.part").write_bytes(WEIGHTS[:500_000])
    hub.files["about.json"] = b"{}"
    store.pull(["tiny"])
    assert (f"/example/tiny/resolve/{COMMIT}/model.safetensors", "bytes=500000-") in hub.asked
    assert placed(store)["tiny/model.safetensors"] == WEIGHTS


def test_offline_names_unlisted_models(store: ModelStore, hub: Hub) -> None:
    with pytest.raises(EngineFailed, match=r"missing or changed: tiny$"):
        store.pull(["tiny"], offline=True)
    assert hub.asked == []


@pytest.mark.parametrize(
    "listing",
    [
        b"<html>",
        b"[]",
        b'{"sha": "main", "siblings": [{"rfilename": "config.json"}]}',
        b'{"siblings": [{"rfilename": "config.json"}]}',
        json.dumps({"sha": COMMIT, "siblings": []}).encode(),
        json.dumps({"sha": COMMIT, "siblings": ["config.json"]}).encode(),
        json.dumps({"sha": COMMIT, "siblings": [{"rfilename": 3}]}).encode(),
        json.dumps({"sha": COMMIT, "siblings": [{"rfilename": "a'\n[[file]].json"}]}).encode(),
        json.dumps({"sha": COMMIT, "siblings": [{"rfilename": "..\\config.json"}]}).encode(),
        json.dumps({"sha": COMMIT, "siblings": [{"rfilename": f"{n}.json"} for n in range(65)]}).encode(),
        b" " * (4 << 20) + b"{}",
        b"[" * 100_000,
    ],
    ids=[
        "html",
        "list",
        "branch",
        "no commit",
        "empty",
        "strings",
        "number",
        "toml",
        "backslash",
        "many",
        "long",
        "deep",
    ],
)
def test_invalid_listing_is_rejected_and_not_stored(store: ModelStore, hub: Hub, listing: bytes) -> None:
    hub.listing = listing
    with pytest.raises(EngineFailed) as refused:
        store.pull(["tiny"])
    assert refused.value.code == "models.bad_listing"
    assert placed(store) == {}


@pytest.mark.parametrize(("status", "words"), [(404, "no such"), (401, "ANCHOR_MODELS_HUB_TOKEN"), (503, "503")])
def test_failed_listing_states_the_reason(store: ModelStore, hub: Hub, status: int, words: str) -> None:
    hub.statuses = [status]
    with pytest.raises(PeerFailed, match=words):
        store.pull(["tiny"])


def test_only_pulled_folders_are_verified_against_the_lock(store: ModelStore, hub: Hub, tmp_path: Path) -> None:
    (store.folder / "tiny").mkdir(parents=True)
    (tmp_path / "tiny").mkdir()
    (store.folder / "mine").mkdir()
    # Copied by hand; in another folder; not a model of the lock.
    for given in (store.folder / "tiny", tmp_path / "tiny", store.folder / "mine"):
        assert not verify_against_lock(given, store.lock, store.folder)
    store.pull(["tiny"])
    assert verify_against_lock(store.folder / "tiny", store.lock, store.folder)
    (store.folder / "tiny/config.json").write_bytes(b"{}")
    with pytest.raises(EngineFailed, match="not the file the lock names"):
        verify_against_lock(store.folder / "tiny", store.lock, store.folder)


def test_doctor_suggests_to_pull(store: ModelStore) -> None:
    environment = {"ANCHOR_MODELS_LOCK": str(store.lock), "ANCHOR_MODELS_DIR": str(store.folder)}
    output = CliRunner().invoke(app, ["doctor", "--json"], env={**environment, "ANCHOR_PROFILE": "gpu"}).output
    assert "anchor pull tiny" in output


@pytest.mark.parametrize(
    "wrong",
    [
        {"lfs": {"sha256": "ff", "size": 1}},
        {"lfs": "ff"},
        {"blobId": "0" * 39},
        {"size": -1},
        {"size": "10"},
        {"lfs": {"size": 1}},
    ],
    ids=["short hash", "no object", "blob", "negative", "text", "no hash"],
)
def test_wrong_hashes_and_sizes_are_rejected(store: ModelStore, hub: Hub, wrong: dict[str, object]) -> None:
    listed = [{**hub.listed(name, blobs=True), **wrong} for name in hub.files]
    hub.listing = json.dumps({"sha": COMMIT, "siblings": listed}).encode()
    with pytest.raises(EngineFailed) as refused:
        store.pull(["tiny"])
    assert (refused.value.code, placed(store), hub.fetched) == ("models.bad_listing", {}, [])
