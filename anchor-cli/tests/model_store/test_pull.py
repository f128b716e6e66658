"""Pulling models from a hub that breaks, lies or sends too much."""

from __future__ import annotations

from pathlib import Path

import pytest
from anchor_cli.model_store.pull import ModelStore
from hub_double import COMMIT, CONFIG, PINNED, UNKNOWN, WEIGHTS, Hub, placed
from service_kit.engines.hub import verify_against_lock
from service_kit.errors import EngineFailed, InvalidRequest, PeerFailed


def test_profile_is_fetched_at_its_revision_and_verified(store: ModelStore, hub: Hub) -> None:
    store.pull(["gpu"])
    assert placed(store) == {"tiny/model.safetensors": WEIGHTS, "tiny/config.json": CONFIG}
    assert hub.asked[0] == (f"/example/tiny/resolve/{COMMIT}/model.safetensors", "")
    assert verify_against_lock(store.folder / "tiny", store.lock, store.folder)
    assert store.progress.steps[-1] == (len(CONFIG), len(CONFIG))  # type: ignore[attr-defined]


def test_only_changed_files_are_fetched_again(store: ModelStore, hub: Hub) -> None:
    store.pull(["tiny"])
    store.pull(["tiny"])
    assert len(hub.asked) == 2
    (store.folder / "tiny/config.json").write_bytes(b'{"dim": 65}')
    store.pull(["tiny"])
    assert [path.rpartition("/")[2] for path, _ in hub.asked[2:]] == ["config.json"]
    assert placed(store)["tiny/config.json"] == CONFIG


def test_model_of_another_profile_is_not_fetched(store: ModelStore, hub: Hub) -> None:
    store.pull(["embedded", "cpu"])
    assert hub.asked == []


def test_broken_connection_resumes_at_its_offset(store: ModelStore, hub: Hub) -> None:
    hub.breaks = 300_000
    store.pull(["tiny"])
    assert placed(store)["tiny/model.safetensors"] == WEIGHTS
    ranges = [wanted for path, wanted in hub.asked if path.endswith("safetensors")]
    assert ranges == ["", "bytes=300000-", "bytes=600000-", "bytes=900000-"]


def test_stopped_pull_resumes(store: ModelStore, hub: Hub) -> None:
    part = store.folder / "tiny/model.safetensors.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(WEIGHTS[:500_000])
    store.pull(["tiny"])
    assert hub.asked[0][1] == "bytes=500000-"
    assert placed(store)["tiny/model.safetensors"] == WEIGHTS


def test_complete_partial_file_is_not_requested(store: ModelStore, hub: Hub) -> None:
    part = store.folder / "tiny/model.safetensors.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(WEIGHTS)
    store.pull(["tiny"])
    assert [path.rpartition("/")[2] for path, _ in hub.asked] == ["config.json"]


@pytest.mark.parametrize("left", [WEIGHTS[:500_000], WEIGHTS + b"more"])
def test_unusable_partial_file_restarts_the_download(store: ModelStore, hub: Hub, left: bytes) -> None:
    hub.ignores_ranges = len(left) < len(WEIGHTS)
    part = store.folder / "tiny/model.safetensors.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(left)
    store.pull(["tiny"])
    assert placed(store)["tiny/model.safetensors"] == WEIGHTS


def test_retryable_statuses_are_retried(store: ModelStore, hub: Hub) -> None:
    hub.statuses = [503, 429, 500]
    store.pull(["tiny"])
    assert len(placed(store)) == 2


def test_retries_are_limited(store: ModelStore, hub: Hub) -> None:
    hub.statuses = [503] * 50
    with pytest.raises(PeerFailed, match="HTTP 503"):
        store.pull(["tiny"])
    assert len(hub.asked) == 5


@pytest.mark.parametrize(("status", "words"), [(404, "no such file"), (403, "ANCHOR_MODELS_HUB_TOKEN"), (410, "410")])
def test_refusal_has_advice(store: ModelStore, hub: Hub, status: int, words: str) -> None:
    hub.statuses = [status]
    with pytest.raises(PeerFailed, match=words):
        store.pull(["tiny"])


def test_wrong_content_is_rejected_and_deleted(store: ModelStore, hub: Hub) -> None:
    hub.files["model.safetensors"] = WEIGHTS[:-1] + b"!"
    with pytest.raises(EngineFailed, match="deleted") as refused:
        store.pull(["tiny"])
    assert refused.value.code == "models.mismatch"
    assert placed(store) == {}


@pytest.mark.parametrize("no_length", [False, True])
def test_oversized_body_is_rejected(store: ModelStore, hub: Hub, no_length: bool) -> None:
    hub.files["model.safetensors"] = WEIGHTS * 3
    hub.no_length = no_length
    with pytest.raises(EngineFailed) as refused:
        store.pull(["tiny"])
    assert refused.value.code == "models.too_large"
    assert placed(store) == {}


def test_disguised_pickle_is_rejected_at_its_first_bytes(store: ModelStore, hub: Hub) -> None:
    hub.files["model.safetensors"] = b"\x80\x04\x95\x10\0\0\0\0\0\0\0\x8c" + WEIGHTS[12:]
    with pytest.raises(EngineFailed, match="a pickle") as refused:
        store.pull(["tiny"])
    assert refused.value.code == "models.unsafe"
    assert placed(store) == {}


def test_full_disk_is_reported_before_fetching(store: ModelStore, hub: Hub, tmp_path: Path) -> None:
    full = ModelStore(
        store.lock, store.folder, store.hub_url, store.client, store.progress, free_bytes=lambda _: 1 << 30
    )
    with pytest.raises(EngineFailed, match=r"are free at") as refused:
        full.pull(["tiny"])
    assert (refused.value.code, hub.asked) == ("models.no_space", [])


def test_file_of_unknown_size_needs_free_space(store: ModelStore, hub: Hub) -> None:
    store.lock.write_text(UNKNOWN)
    full = ModelStore(
        store.lock, store.folder, store.hub_url, store.client, store.progress, free_bytes=lambda _: (1 << 30) + 1000
    )
    with pytest.raises(EngineFailed, match="more than is free"):
        full.pull(["tiny"], trust_on_first_use=True)
    assert placed(store) == {}


def test_offline_only_verifies(store: ModelStore, hub: Hub) -> None:
    with pytest.raises(EngineFailed, match=r"missing or changed: tiny/model\.safetensors, tiny/config\.json"):
        store.pull(["tiny"], offline=True)
    assert hub.asked == []
    store.pull(["tiny"])
    count = len(hub.asked)
    store.pull(["tiny"], offline=True)
    assert len(hub.asked) == count


def test_unknown_hash_is_rejected_by_name(store: ModelStore, hub: Hub) -> None:
    store.lock.write_text(UNKNOWN)
    with pytest.raises(EngineFailed, match="--trust-on-first-use") as refused:
        store.pull(["gpu"])
    assert (refused.value.code, hub.asked) == ("models.unknown_hash", [])
    assert not verify_against_lock(store.folder / "tiny", store.lock, store.folder)


@pytest.mark.parametrize("redirects", [False, True])
def test_trust_on_first_use_pins_hash_and_commit(store: ModelStore, hub: Hub, redirects: bool) -> None:
    store.lock.write_text(UNKNOWN)
    hub.redirects = redirects
    store.pull(["tiny"], trust_on_first_use=True)
    own = [path for path, _ in hub.asked if not path.startswith("/elsewhere")]
    # The second file is requested at the commit that the first response reported.
    assert own == ["/example/tiny/resolve/main/model.safetensors", f"/example/tiny/resolve/{COMMIT}/config.json"]
    assert verify_against_lock(store.folder / "tiny", store.lock, store.folder)
    (store.folder / "tiny/config.json").unlink()
    hub.files["config.json"] = b'{"dim": 99}'
    with pytest.raises(EngineFailed) as refused:
        store.pull(["tiny"], trust_on_first_use=True)
    assert refused.value.code == "models.mismatch"


def test_partial_file_of_unknown_revision_is_discarded(store: ModelStore, hub: Hub) -> None:
    store.lock.write_text(UNKNOWN)
    part = store.folder / "tiny/model.safetensors.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * 1000)
    store.pull(["tiny"], trust_on_first_use=True)
    assert hub.asked[0][1] == ""


def test_file_of_unknown_size_needs_a_content_length(store: ModelStore, hub: Hub) -> None:
    store.lock.write_text(UNKNOWN)
    hub.no_length = True
    with pytest.raises(EngineFailed, match="no acceptable size"):
        store.pull(["tiny"], trust_on_first_use=True)


def test_unknown_name_is_rejected_with_known_ones(store: ModelStore) -> None:
    with pytest.raises(InvalidRequest, match="embedded, cpu, gpu, tiny"):
        store.pull(["huge"])


@pytest.mark.parametrize(
    "wrong",
    [
        PINNED.replace('path = "config.json"', 'path = "../config.json"'),
        PINNED.replace('path = "config.json"', 'path = "pytorch_model.bin"'),
        PINNED.replace(f'revision = "{COMMIT}"', 'revision = "main"'),
        PINNED.replace(f'revision = "{COMMIT}"', 'revision = "v1"'),
        PINNED.replace('repository = "example/tiny"', 'repository = "../tiny"'),
        PINNED.replace(f"size_bytes = {len(CONFIG)}", "size_bytes = 0"),
        PINNED.replace("files = [", "files = []\nother = ["),
        PINNED.replace('kind = "hub"', 'kind = "torrent"'),
    ],
    ids=["outside", "pickle by name", "moving", "a tag", "repository", "no size", "no files", "kind"],
)
def test_invalid_lock_is_rejected(store: ModelStore, wrong: str) -> None:
    assert wrong != PINNED
    store.lock.write_text(wrong)
    with pytest.raises(EngineFailed) as refused:
        store.pull(["tiny"])
    assert refused.value.code == "models.bad_lock"


def test_invalid_trusted_lock_is_rejected(store: ModelStore) -> None:
    store.folder.mkdir()
    (store.folder / "trusted.lock").write_text("[[file]]\npath = 3")
    with pytest.raises(EngineFailed, match=r"trusted\.lock"):
        store.pull(["tiny"])
