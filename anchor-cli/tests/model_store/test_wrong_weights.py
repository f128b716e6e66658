"""Repositories that hold another model's weights, and copies of the right ones in other repositories and subfolders."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from anchor_cli.model_store.pull import ModelStore
from hub_double import COMMIT, CONFIG, Hub, placed
from service_kit.engines.hub import read_hub_models, verify_against_lock
from service_kit.errors import EngineFailed

ROOT = Path(__file__).parents[3]
LOCK = """
[[model]]
kind = "hub"
name = "codec"
repository = "authors/codec"
revision = "main"
licence = "MIT"
profiles = ["gpu"]
files = []
max_bytes = 4000
has_tensor = "fc2.weight"
alternatives = ["codec-copy"]

[[model]]
kind = "hub"
name = "codec-copy"
repository = "others/voice"
subfolder = "audio_tokenizer"
revision = "main"
licence = "MIT"
files = []
max_bytes = 4000
has_tensor = "fc2.weight"
"""


def safetensors(*names: str, values: int = 100) -> bytes:
    """A safetensors file with these tensors, each of `values` bytes."""
    offsets = enumerate(names)
    tensors = {
        name: {"dtype": "U8", "shape": [values], "data_offsets": [at * values, (at + 1) * values]}
        for at, name in offsets
    }
    header = json.dumps(tensors).encode()
    return len(header).to_bytes(8, "little") + header + bytes(len(names) * values)


CODEC = safetensors("acoustic_decoder.conv1.weight", "fc2.weight")
LANGUAGE_MODEL = safetensors("model.embed_tokens.weight", "model.norm.weight")


@pytest.fixture
def codec_store(store: ModelStore, hub: Hub) -> ModelStore:
    store.lock.write_text(LOCK)
    hub.files = {"config.json": CONFIG, "model.safetensors": CODEC}
    return store


def files_of(store: ModelStore) -> set[str]:
    return set(placed(store)) - {"trusted.lock"}


def test_codec_is_fetched(codec_store: ModelStore) -> None:
    codec_store.pull(["gpu"])
    assert files_of(codec_store) == {"codec/config.json", "codec/model.safetensors"}


@pytest.mark.parametrize(
    ("weights", "code", "reason"),
    [
        (LANGUAGE_MODEL, "models.wrong_weights", "lacks the tensor fc2.weight; it has model.embed_tokens.weight"),
        (safetensors("fc2.weight", values=5000), "models.too_large", "at most 0.0 GB are expected"),
        (b"\x02" + bytes(7) + b"{x" + bytes(20), "models.wrong_weights", "no readable list of tensors"),
    ],
    ids=["language model", "too large", "unreadable"],
)
def test_other_weights_are_refused_and_a_copy_named(
    codec_store: ModelStore, hub: Hub, weights: bytes, code: str, reason: str
) -> None:
    hub.files["model.safetensors"] = weights
    with pytest.raises(EngineFailed, match="anchor pull codec-copy") as refused:
        codec_store.pull(["codec"])
    assert refused.value.code == code
    assert reason in refused.value.message
    assert "authors/codec does not hold codec" in refused.value.message
    # The listing has the size, so too large a file stops the pull before its first file.
    assert files_of(codec_store) == (set() if code == "models.too_large" else {"codec/config.json"})
    if code != "models.too_large":
        with pytest.raises(EngineFailed, match=r"no hash of codec/model\.safetensors"):
            verify_against_lock(codec_store.folder / "codec", codec_store.lock, codec_store.folder)


def test_model_in_a_subfolder_is_fetched_without_its_neighbours(codec_store: ModelStore, hub: Hub) -> None:
    names = ["config.json", "model.safetensors", "audio_tokenizer/config.json", "audio_tokenizer/model.safetensors"]
    names += ["audio_tokenizer/more/model.safetensors", "audio_tokenizer/README.md"]
    siblings = [{**hub.listed(name.rpartition("/")[2], blobs=True), "rfilename": name} for name in names]
    hub.listing = json.dumps({"sha": COMMIT, "siblings": siblings}).encode()
    codec_store.pull(["codec-copy"])
    assert files_of(codec_store) == {"codec-copy/config.json", "codec-copy/model.safetensors"}
    fetched = [path for path, _ in hub.asked if "/resolve/" in path]
    assert fetched == [
        f"/others/voice/resolve/{COMMIT}/audio_tokenizer/config.json",
        f"/others/voice/resolve/{COMMIT}/audio_tokenizer/model.safetensors",
    ]
    assert verify_against_lock(codec_store.folder / "codec-copy", codec_store.lock, codec_store.folder)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [('"audio_tokenizer"', '"../audio_tokenizer"'), ('"audio_tokenizer"', '"/etc"'), ('["codec-copy"]', '["codecs"]')],
)
def test_malformed_entries_are_refused(codec_store: ModelStore, right: str, wrong: str) -> None:
    codec_store.lock.write_text(LOCK.replace(right, wrong))
    with pytest.raises(EngineFailed):
        read_hub_models(codec_store.lock, codec_store.folder)


def test_every_codec_of_the_lock_is_guarded(tmp_path: Path) -> None:
    models = read_hub_models(ROOT / "models.lock", tmp_path)
    codecs = [model for model in models.values() if "tokenizer" in model.name]
    assert len(codecs) == 3
    assert all((model.has_tensor, model.max_bytes) == ("fc2.weight", 2_000_000_000) for model in codecs)
    assert all(model.alternatives for model in codecs)
