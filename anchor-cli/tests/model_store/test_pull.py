"""Pulling models from a hub that breaks, lies or sends too much."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import httpx
import pytest
from anchor_cli.model_store.pull import ModelStore
from hub_double import COMMIT, CONFIG, PINNED, STORAGE, UNKNOWN, WEIGHTS, Hub, lock_text, placed, sha256
from service_kit.engines.hub import read_trusted, verify_against_lock
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


@pytest.mark.parametrize(("status", "words"), [(404, "no such file"), (401, "ANCHOR_MODELS_HUB_TOKEN"), (410, "410")])
def test_refusal_has_advice(store: ModelStore, hub: Hub, status: int, words: str) -> None:
    hub.statuses = [status]
    with pytest.raises(PeerFailed, match=words):
        store.pull(["tiny"])


@pytest.mark.parametrize(("states_hashes", "reason"), [(True, "another hash there"), (False, "deleted")])
def test_wrong_content_is_rejected(store: ModelStore, hub: Hub, states_hashes: bool, reason: str) -> None:
    hub.files["model.safetensors"] = WEIGHTS[:-1] + b"!"
    hub.states_hashes = states_hashes
    with pytest.raises(EngineFailed, match=reason) as refused:
        store.pull(["tiny"])
    assert refused.value.code == "models.mismatch"
    assert placed(store) == {}


@pytest.mark.parametrize("no_length", [False, True])
def test_oversized_body_is_rejected(store: ModelStore, hub: Hub, no_length: bool) -> None:
    hub.files["model.safetensors"] = WEIGHTS * 3
    hub.no_length, hub.states_hashes = no_length, False
    with pytest.raises(EngineFailed) as refused:
        store.pull(["tiny"])
    assert refused.value.code == "models.too_large"
    assert placed(store) == {}


def test_disguised_pickle_is_rejected_at_its_first_bytes(store: ModelStore, hub: Hub) -> None:
    store.lock.write_text(UNKNOWN)
    hub.files["model.safetensors"] = b"\x80\x04\x95\x10\0\0\0\0\0\0\0\x8c" + WEIGHTS[12:]
    with pytest.raises(EngineFailed, match="a pickle") as refused:
        store.pull(["tiny"])
    assert refused.value.code == "models.unsafe"
    assert set(placed(store)) == {"trusted.lock"}


def test_full_disk_is_reported_before_fetching(store: ModelStore, hub: Hub, tmp_path: Path) -> None:
    full = ModelStore(
        store.lock, store.folder, store.hub_url, store.client, store.progress, free_bytes=lambda _: 1 << 30
    )
    with pytest.raises(EngineFailed, match=r"are free at") as refused:
        full.pull(["tiny"])
    assert (refused.value.code, hub.asked) == ("models.no_space", [])


def test_file_of_unknown_size_needs_free_space(store: ModelStore, hub: Hub) -> None:
    store.lock.write_text(UNKNOWN)
    hub.states_hashes = False
    full = replace(store, free_bytes=lambda _: (1 << 30) + 1000)
    with pytest.raises(EngineFailed, match="more than is free"):
        full.pull(["tiny"], trust_on_first_use=True)


@pytest.mark.parametrize("redirects", [False, True])
def test_what_the_project_does_not_pin_is_pinned_by_the_hashes_of_the_hub(
    store: ModelStore, hub: Hub, redirects: bool
) -> None:
    store.lock.write_text(UNKNOWN)
    hub.redirects = redirects
    store.pull(["tiny"])
    assert hub.asked[0] == ("/api/models/example/tiny/revision/main", "")
    # Both files are requested at the commit that the listing named.
    own = [path for path, _ in hub.fetched if not path.startswith(STORAGE)]
    assert own == [f"/example/tiny/resolve/{COMMIT}/{name}" for name in ("model.safetensors", "config.json")]
    pinned = read_trusted(store.folder)
    assert pinned["tiny/model.safetensors"].file.sha256 == sha256(WEIGHTS)
    assert pinned["tiny/config.json"].file.sha256 == sha256(CONFIG)
    assert {found.commit for found in pinned.values()} == {COMMIT}
    assert verify_against_lock(store.folder / "tiny", store.lock)
    hub.asked.clear()
    store.pull(["tiny"])
    assert hub.asked == []


def test_pinned_file_that_changed_is_refused_until_renewed(store: ModelStore, hub: Hub) -> None:
    store.lock.write_text(UNKNOWN)
    store.pull(["tiny"])
    (store.folder / "tiny/config.json").unlink()
    hub.files["config.json"] = b'{"dim": 99}'
    with pytest.raises(EngineFailed) as refused:
        store.pull(["tiny"])
    assert refused.value.code == "models.mismatch"
    store.pull(["tiny"], renew=True)
    assert placed(store)["tiny/config.json"] == b'{"dim": 99}'
    assert verify_against_lock(store.folder / "tiny", store.lock)


def test_size_and_facts_are_said_before_the_download(store: ModelStore, hub: Hub) -> None:
    store.lock.write_text(UNKNOWN)
    hub.breaks = 10
    with pytest.raises(PeerFailed):
        replace(store, sleep=stop).pull(["tiny"])
    said = store.progress.lines  # type: ignore[attr-defined]
    facts = f"1.0 MB in 2 files, licence MIT, from example/tiny, pinned here, not by the project, at {COMMIT[:12]}"
    assert said == [f"tiny: {facts}"]


def stop(seconds: float) -> None:
    raise PeerFailed("test.stopped", "stopped")


def test_small_file_that_is_not_the_listed_blob_is_refused(store: ModelStore, hub: Hub) -> None:
    store.lock.write_text(UNKNOWN)
    listed = [hub.listed(name, blobs=True) for name in hub.files]
    hub.listing = json.dumps({"sha": COMMIT, "siblings": listed}).encode()
    hub.files["config.json"] = b'{"dim": 65}'
    with pytest.raises(EngineFailed, match="not the file that the hub lists") as refused:
        store.pull(["tiny"])
    assert refused.value.code == "models.mismatch"
    assert not (store.folder / "tiny/config.json").exists()
    with pytest.raises(EngineFailed, match=r"config\.json is known"):
        verify_against_lock(store.folder / "tiny", store.lock)


def test_interrupted_first_pull_resumes_at_its_commit_and_byte(store: ModelStore, hub: Hub) -> None:
    store.lock.write_text(UNKNOWN)
    hub.breaks = 400_000
    with pytest.raises(PeerFailed, match="stopped"):
        replace(store, sleep=stop).pull(["tiny"])
    hub.breaks = 0
    store.pull(["tiny"])
    assert (f"/example/tiny/resolve/{COMMIT}/model.safetensors", "bytes=400000-") in hub.asked
    assert placed(store)["tiny/model.safetensors"] == WEIGHTS


def test_hash_that_nobody_states_needs_trust_on_first_use(store: ModelStore, hub: Hub) -> None:
    store.lock.write_text(UNKNOWN)
    hub.states_hashes = False
    with pytest.raises(
        EngineFailed, match=r"hash of tiny/model\.safetensors, tiny/config\.json; --trust-on-first-use"
    ) as refused:
        store.pull(["gpu"])
    assert (refused.value.code, hub.fetched) == ("models.unknown_hash", [])
    assert not verify_against_lock(store.folder / "tiny", store.lock, store.folder)
    store.pull(["gpu"], trust_on_first_use=True)
    assert read_trusted(store.folder)["tiny/model.safetensors"].file.sha256 == sha256(WEIGHTS)


def test_mirror_without_lists_needs_trust_on_first_use(store: ModelStore, hub: Hub) -> None:
    store.lock.write_text(UNKNOWN)
    hub.statuses = [404]
    with pytest.raises(PeerFailed, match="HTTP 404"):
        store.pull(["tiny"])
    part = store.folder / "tiny/model.safetensors.part"
    part.parent.mkdir(parents=True, exist_ok=True)
    part.write_bytes(b"x" * 1000)
    hub.statuses = [404]
    store.pull(["tiny"], trust_on_first_use=True)
    # The partial file may be of another revision; the second file is at the commit that the first response named.
    assert hub.fetched == [
        ("/example/tiny/resolve/main/model.safetensors", ""),
        (f"/example/tiny/resolve/{COMMIT}/config.json", ""),
    ]
    assert verify_against_lock(store.folder / "tiny", store.lock)


def test_file_of_unknown_size_needs_a_content_length(store: ModelStore, hub: Hub) -> None:
    store.lock.write_text(UNKNOWN)
    hub.no_length, hub.states_hashes = True, False
    with pytest.raises(EngineFailed, match="no acceptable size"):
        store.pull(["tiny"], trust_on_first_use=True)


def test_gated_repository_needs_a_token_before_anything_is_fetched(store: ModelStore, hub: Hub) -> None:
    store.lock.write_text(UNKNOWN)
    hub.gated = True
    with pytest.raises(PeerFailed) as refused:
        store.pull(["tiny"])
    assert (refused.value.code, hub.fetched) == ("models.gated", [])
    for words in (f"accept its terms at {hub.url}/example/tiny", "settings/tokens", "ANCHOR_MODELS_HUB_TOKEN"):
        assert words in refused.value.message


def with_token(store: ModelStore, token: str) -> ModelStore:
    headers = {"Authorization": f"Bearer {token}"}
    client = partial(httpx.Client, trust_env=False, follow_redirects=True, timeout=5, headers=headers)
    return replace(store, client=client, has_token=True)


def test_gated_repository_is_fetched_with_a_token(store: ModelStore, hub: Hub) -> None:
    store.lock.write_text(UNKNOWN)
    hub.gated = hub.redirects = True
    with_token(store, "secret").pull(["tiny"])
    # The storage that the hub redirects to gets no token.
    assert [token for (path, _), token in zip(hub.asked, hub.tokens, strict=True) if path.startswith(STORAGE)] == [""]
    assert verify_against_lock(store.folder / "tiny", store.lock)
    assert "from example/tiny (gated)" in store.progress.lines[0]  # type: ignore[attr-defined]


@pytest.mark.parametrize(("token", "accepted"), [("wrong", True), ("secret", False)])
@pytest.mark.parametrize("lock", [UNKNOWN, PINNED])
def test_refused_token_is_explained(store: ModelStore, hub: Hub, lock: str, token: str, accepted: bool) -> None:
    store.lock.write_text(lock)
    hub.gated, hub.accepted = True, accepted
    with pytest.raises(PeerFailed, match="the account of your token may not read it") as refused:
        with_token(store, token).pull(["tiny"])
    assert refused.value.code == "models.gated"


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


def test_files_of_several_repositories_and_commits_are_one_model(store: ModelStore, hub: Hub) -> None:
    other = "ab" * 20
    files = [
        '{path = "model.safetensors"}',
        f'{{path = "words.json", source = "config.json", revision = "{other}"}}',
        f'{{path = "voices/a.json", source = "en/a.json", repository = "other/voices", revision = "{other}"}}',
    ]
    store.lock.write_text(lock_text(*files).replace('licence = "MIT"', 'licence = "MIT"\nsubfolder = "en"'))
    hub.files = {"en/model.safetensors": WEIGHTS, "en/config.json": CONFIG, "en/a.json": b"{}"}
    store.pull(["tiny"])
    assert [path for path, _ in hub.asked] == [
        f"/api/models/example/tiny/revision/{COMMIT}",
        f"/api/models/example/tiny/revision/{other}",
        f"/api/models/other/voices/revision/{other}",
        f"/example/tiny/resolve/{COMMIT}/en/model.safetensors",
        f"/example/tiny/resolve/{other}/en/config.json",
        f"/other/voices/resolve/{other}/en/a.json",
    ]
    assert placed(store)["tiny/voices/a.json"] == b"{}"
    assert verify_against_lock(store.folder / "tiny", store.lock)
    store.pull(["tiny"])
    assert len(hub.asked) == 6


def test_short_name_fetches_its_models(store: ModelStore, hub: Hub) -> None:
    store.lock.write_text(f'{PINNED}\n[[short_name]]\nname = "small"\nmodels = ["tiny"]\n')
    store.pull(["small"])
    assert placed(store)["tiny/model.safetensors"] == WEIGHTS
