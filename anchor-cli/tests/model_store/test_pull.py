"""Models of a hub: fetched over HTTP as it is, with breaks, lies and too much of everything."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from anchor_cli.app import app
from anchor_cli.model_store.pull import Store
from anchor_cli.model_store.weights_format import check_format
from hub_double import COMMIT, CONFIG, PINNED, UNKNOWN, WEIGHTS, Hub, placed
from service_kit.engines.hub import is_held_to_lock
from service_kit.errors import EngineFailed, InvalidRequest, PeerFailed
from typer.testing import CliRunner


def test_a_profile_is_fetched_at_its_revision_and_verified(store: Store, hub: Hub) -> None:
    store.pull(["gpu"])
    assert placed(store) == {"tiny/model.safetensors": WEIGHTS, "tiny/config.json": CONFIG}
    assert hub.asked[0] == (f"/example/tiny/resolve/{COMMIT}/model.safetensors", "")
    assert is_held_to_lock(store.folder / "tiny", store.lock, store.folder)
    assert store.view.steps[-1] == (len(CONFIG), len(CONFIG))  # type: ignore[attr-defined]


def test_what_is_here_is_not_fetched_again_and_what_changed_is(store: Store, hub: Hub) -> None:
    store.pull(["tiny"])
    store.pull(["tiny"])
    assert len(hub.asked) == 2
    (store.folder / "tiny/config.json").write_bytes(b'{"dim": 65}')
    store.pull(["tiny"])
    assert [path.rpartition("/")[2] for path, _ in hub.asked[2:]] == ["config.json"]
    assert placed(store)["tiny/config.json"] == CONFIG


def test_another_profile_does_not_get_it(store: Store, hub: Hub) -> None:
    store.pull(["embedded", "cpu"])
    assert hub.asked == []


def test_a_connection_that_breaks_is_resumed_where_it_broke(store: Store, hub: Hub) -> None:
    hub.breaks = 300_000
    store.pull(["tiny"])
    assert placed(store)["tiny/model.safetensors"] == WEIGHTS
    ranges = [wanted for path, wanted in hub.asked if path.endswith("safetensors")]
    assert ranges == ["", "bytes=300000-", "bytes=600000-", "bytes=900000-"]


def test_a_pull_that_was_stopped_goes_on(store: Store, hub: Hub) -> None:
    part = store.folder / "tiny/model.safetensors.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(WEIGHTS[:500_000])
    store.pull(["tiny"])
    assert hub.asked[0][1] == "bytes=500000-"
    assert placed(store)["tiny/model.safetensors"] == WEIGHTS


def test_a_part_that_is_whole_is_not_asked_for(store: Store, hub: Hub) -> None:
    part = store.folder / "tiny/model.safetensors.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(WEIGHTS)
    store.pull(["tiny"])
    assert [path.rpartition("/")[2] for path, _ in hub.asked] == ["config.json"]


@pytest.mark.parametrize("left", [WEIGHTS[:500_000], WEIGHTS + b"more"])
def test_a_hub_without_ranges_and_a_part_that_is_too_long_begin_anew(store: Store, hub: Hub, left: bytes) -> None:
    hub.ignores_ranges = len(left) < len(WEIGHTS)
    part = store.folder / "tiny/model.safetensors.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(left)
    store.pull(["tiny"])
    assert placed(store)["tiny/model.safetensors"] == WEIGHTS


def test_a_hub_in_trouble_is_asked_again(store: Store, hub: Hub) -> None:
    hub.statuses = [503, 429, 500]
    store.pull(["tiny"])
    assert len(placed(store)) == 2


def test_but_not_for_ever(store: Store, hub: Hub) -> None:
    hub.statuses = [503] * 50
    with pytest.raises(PeerFailed, match="HTTP 503"):
        store.pull(["tiny"])
    assert len(hub.asked) == 5


@pytest.mark.parametrize(("status", "words"), [(404, "no such file"), (403, "ANCHOR_MODELS_HUB_TOKEN"), (410, "410")])
def test_a_refusal_says_what_to_do(store: Store, hub: Hub, status: int, words: str) -> None:
    hub.statuses = [status]
    with pytest.raises(PeerFailed, match=words):
        store.pull(["tiny"])


def test_other_content_of_the_right_size_is_refused_and_deleted(store: Store, hub: Hub) -> None:
    hub.files["model.safetensors"] = WEIGHTS[:-1] + b"!"
    with pytest.raises(EngineFailed, match="deleted") as refused:
        store.pull(["tiny"])
    assert refused.value.code == "models.mismatch"
    assert placed(store) == {}


@pytest.mark.parametrize("no_length", [False, True])
def test_a_body_without_end_is_cut_off(store: Store, hub: Hub, no_length: bool) -> None:
    hub.files["model.safetensors"] = WEIGHTS * 3
    hub.no_length = no_length
    with pytest.raises(EngineFailed) as refused:
        store.pull(["tiny"])
    assert refused.value.code == "models.too_large"
    assert placed(store) == {}


def test_a_pickle_by_another_name_is_refused_at_its_first_bytes(store: Store, hub: Hub) -> None:
    hub.files["model.safetensors"] = b"\x80\x04\x95\x10\0\0\0\0\0\0\0\x8c" + WEIGHTS[12:]
    with pytest.raises(EngineFailed, match="a pickle") as refused:
        store.pull(["tiny"])
    assert refused.value.code == "models.unsafe"
    assert placed(store) == {}


@pytest.mark.parametrize(
    ("path", "head"),
    [
        ("a.safetensors", struct.pack("<Q", 0x010280) + b"{"),
        ("a.gguf", b"GGUF\3\0\0\0"),
        ("a.onnx", b"\x08\x08\x12\x07pytorch"),
        ("a.json", b"\n  {}"),
    ],
)
def test_each_format_is_known_by_its_beginning(path: str, head: bytes) -> None:
    check_format(path, head)


@pytest.mark.parametrize(
    ("path", "head"),
    [
        ("a.safetensors", b"\xff" * 8 + b"{"),
        ("a.safetensors", b"PK\x03\x04" + bytes(12)),
        ("a.gguf", b"GGML"),
        ("a.onnx", b"\x80\x02}"),
        ("a.json", b"import os"),
        ("a.bin", b"GGUF"),
        ("a.json", b""),
    ],
)
def test_what_begins_otherwise_is_refused(path: str, head: bytes) -> None:
    with pytest.raises(EngineFailed, match="does not begin"):
        check_format(path, head)


def test_a_full_disk_is_told_before_anything_is_fetched(store: Store, hub: Hub, tmp_path: Path) -> None:
    full = Store(store.lock, store.folder, store.hub_url, store.client, store.view, lambda folder: 1 << 30)
    with pytest.raises(EngineFailed, match=r"are free at") as refused:
        full.pull(["tiny"])
    assert (refused.value.code, hub.asked) == ("models.no_space", [])


def test_a_file_of_unknown_size_must_find_room_too(store: Store, hub: Hub) -> None:
    store.lock.write_text(UNKNOWN)
    full = Store(store.lock, store.folder, store.hub_url, store.client, store.view, lambda folder: (1 << 30) + 1000)
    with pytest.raises(EngineFailed, match="more than are free"):
        full.pull(["tiny"], trust_on_first_use=True)
    assert placed(store) == {}


def test_offline_only_looks(store: Store, hub: Hub) -> None:
    with pytest.raises(EngineFailed, match=r"not here, or changed: tiny/model\.safetensors, tiny/config\.json"):
        store.pull(["tiny"], offline=True)
    assert hub.asked == []
    store.pull(["tiny"])
    count = len(hub.asked)
    store.pull(["tiny"], offline=True)
    assert len(hub.asked) == count


def test_a_file_of_unknown_hash_is_refused_by_name(store: Store, hub: Hub) -> None:
    store.lock.write_text(UNKNOWN)
    with pytest.raises(EngineFailed, match="--trust-on-first-use") as refused:
        store.pull(["gpu"])
    assert (refused.value.code, hub.asked) == ("models.unknown_hash", [])
    assert not is_held_to_lock(store.folder / "tiny", store.lock, store.folder)


@pytest.mark.parametrize("redirects", [False, True])
def test_trusted_on_first_use_it_is_held_to_what_came_first(store: Store, hub: Hub, redirects: bool) -> None:
    store.lock.write_text(UNKNOWN)
    hub.redirects = redirects
    store.pull(["tiny"], trust_on_first_use=True)
    own = [path for path, _ in hub.asked if not path.startswith("/elsewhere")]
    # The second file is of the commit that the first turned out to be.
    assert own == ["/example/tiny/resolve/main/model.safetensors", f"/example/tiny/resolve/{COMMIT}/config.json"]
    assert is_held_to_lock(store.folder / "tiny", store.lock, store.folder)
    (store.folder / "tiny/config.json").unlink()
    hub.files["config.json"] = b'{"dim": 99}'
    with pytest.raises(EngineFailed) as refused:
        store.pull(["tiny"], trust_on_first_use=True)
    assert refused.value.code == "models.mismatch"


def test_what_was_left_of_an_unknown_file_is_not_gone_on_with(store: Store, hub: Hub) -> None:
    store.lock.write_text(UNKNOWN)
    part = store.folder / "tiny/model.safetensors.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * 1000)
    store.pull(["tiny"], trust_on_first_use=True)
    assert hub.asked[0][1] == ""


def test_a_file_of_unknown_size_must_be_announced(store: Store, hub: Hub) -> None:
    store.lock.write_text(UNKNOWN)
    hub.no_length = True
    with pytest.raises(EngineFailed, match="how large"):
        store.pull(["tiny"], trust_on_first_use=True)


def test_an_unknown_name_is_refused_with_those_there_are(store: Store) -> None:
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
def test_a_lock_that_leaves_something_open_is_refused(store: Store, wrong: str) -> None:
    assert wrong != PINNED
    store.lock.write_text(wrong)
    with pytest.raises(EngineFailed) as refused:
        store.pull(["tiny"])
    assert refused.value.code == "models.bad_lock"


def test_a_list_of_trust_that_is_broken_is_refused(store: Store) -> None:
    store.folder.mkdir()
    (store.folder / "trusted.lock").write_text("[[file]]\npath = 3")
    with pytest.raises(EngineFailed, match=r"trusted\.lock"):
        store.pull(["tiny"])


def environment(store: Store, hub: Hub) -> dict[str, str]:
    return {
        "ANCHOR_MODELS_LOCK": str(store.lock),
        "ANCHOR_MODELS_DIR": str(store.folder),
        "ANCHOR_MODELS_HUB_URL": hub.url,
        "ANCHOR_MODELS_HUB_TOKEN": "secret",
        "NO_PROXY": "127.0.0.1",
        "COLUMNS": "200",
    }


def test_the_command_pulls_from_the_mirror_that_is_set(store: Store, hub: Hub) -> None:
    result = CliRunner().invoke(app, ["pull", "tiny"], env=environment(store, hub))
    assert (result.exit_code, hub.tokens[0]) == (0, "Bearer secret"), result.output
    assert "tiny/model.safetensors: verified, 1.0 MB (MIT)" in result.output


def test_the_command_says_why_it_could_not(store: Store, hub: Hub) -> None:
    hub.statuses = [404]
    result = CliRunner().invoke(app, ["pull", "tiny"], env=environment(store, hub))
    assert result.exit_code == 1
    assert "models.not_fetched" in result.output


def test_the_projects_own_lock_names_what_it_does_not_know(tmp_path: Path) -> None:
    lock = Path(__file__).parents[3] / "models.lock"
    result = CliRunner().invoke(
        app,
        ["pull", "voxtral-mini-3b"],
        env={"ANCHOR_MODELS_LOCK": str(lock), "ANCHOR_MODELS_DIR": str(tmp_path), "COLUMNS": "200"},
    )
    assert result.exit_code == 1
    assert "models.unknown_hash" in result.output
