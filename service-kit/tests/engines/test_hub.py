"""Models of a hub: where their files come from, what an entry may say, and the trust list."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from service_kit.engines.hub import (
    HubFile,
    HubModel,
    distrust,
    is_safe_name,
    read_hub_entries,
    read_hub_models,
    read_trusted,
    trust,
)
from service_kit.engines.model_lock import read_lock, read_short_names
from service_kit.errors import EngineFailed

PROJECT_LOCK = Path(__file__).parents[3] / "models.lock"
COMMIT, OTHER = "ab" * 20, "cd" * 20
VOICE = HubFile("voices/a.safetensors", source="embeddings/a.safetensors", revision=OTHER)
TOKENIZER = HubFile("tokenizer.json", source="en/tokenizer.json", repository="other/words", revision=OTHER)
MODEL = HubModel("tiny", "example/tiny", COMMIT, "MIT", (HubFile("a.onnx"), VOICE, TOKENIZER), subfolder="languages/en")


def test_each_file_has_its_own_origin() -> None:
    assert [(MODEL.origin_of(file), MODEL.path_in_repository(file)) for file in MODEL.files] == [
        (("example/tiny", COMMIT), "languages/en/a.onnx"),
        (("example/tiny", OTHER), "languages/en/embeddings/a.safetensors"),
        (("other/words", OTHER), "en/tokenizer.json"),
    ]
    assert MODEL.path_of(VOICE, Path("models")) == Path("models/tiny/voices/a.safetensors")


@pytest.mark.parametrize(
    "wrong",
    [
        {"path": "a.bin"},
        {"path": "a.pt"},
        {"path": "../a.onnx"},
        {"path": "a.onnx", "source": "../a.onnx"},
        {"path": "a.onnx", "source": "/a.onnx"},
        {"path": "a.onnx", "revision": "main"},
        {"path": "a.onnx", "repository": "other/words"},
        {"path": "a.onnx", "repository": "words", "revision": OTHER},
        {"path": "a.onnx", "sha256": "ab" * 32},
    ],
)
def test_wrong_files_are_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="must"):
        HubFile(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("subfolder", ["../x", "/x", "x/../y", "x y", "."])
def test_wrong_folders_are_refused(subfolder: str) -> None:
    with pytest.raises(ValueError, match="must be inside"):
        replace(MODEL, subfolder=subfolder)


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("model.safetensors", True),
        ("model.bin", True),
        ("vocabulary.txt", True),
        ("pytorch_model.bin", False),
        ("model.bin.py", False),
        ("merges.txt", False),
        ("weights.ckpt", False),
        ("config.yaml", False),
    ],
)
def test_names_of_formats_without_code(name: str, safe: bool) -> None:
    assert is_safe_name(name) is safe


def test_trust_completes_hashes_and_keeps_origins(tmp_path: Path) -> None:
    lock = tmp_path / "models.lock"
    lock.write_text(f"""
[[model]]
kind = "hub"
name = "tiny"
repository = "example/tiny"
revision = "main"
licence = "MIT"
files = [{{path = "a.onnx"}}, {{path = "b.json", source = "b/c.json", revision = "{OTHER}"}}]
""")
    entry = read_hub_entries(lock)["tiny"]
    assert read_hub_models(lock, tmp_path) == {"tiny": entry}
    pinned = replace(entry.files[1], sha256="ef" * 32, size_bytes=7)
    trust(replace(entry, revision=COMMIT), pinned, tmp_path)
    model = read_hub_models(lock, tmp_path)["tiny"]
    assert (model.revision, model.files, model.unknown) == (COMMIT, (entry.files[0], pinned), ["tiny/a.onnx"])


def test_distrust_forgets_one_model(tmp_path: Path) -> None:
    distrust(["tiny"], tmp_path)
    assert not (tmp_path / "trusted.lock").exists()
    for name in ("tiny", "tiny-en"):
        trust(replace(MODEL, name=name), HubFile("a.onnx", "ef" * 32, 7), tmp_path)
    distrust(["tiny"], tmp_path)
    (kept,) = read_trusted(tmp_path).items()
    assert (kept[0], kept[1].file, kept[1].commit) == ("tiny-en/a.onnx", HubFile("a.onnx", "ef" * 32, 7), COMMIT)


def test_short_names_stand_for_models_of_the_lock(tmp_path: Path) -> None:
    assert read_short_names(PROJECT_LOCK)["higgs"] == ("higgs-audio-v2", "higgs-audio-v2-tokenizer")
    text = PROJECT_LOCK.read_text("utf-8")
    lock = tmp_path / "models.lock"
    for wrong in ('models = ["voxtral-3"]', "models = 3"):
        lock.write_text(text.replace('models = ["voxtral-mini-3b"]', wrong))
        with pytest.raises(EngineFailed, match="not a list of models"):
            read_short_names(lock)
    lock.write_text(text.replace('name = "voxtral"', 'name = "csm"'))
    with pytest.raises(EngineFailed, match="both a model and a short name"):
        read_short_names(lock)


def test_every_model_of_the_project_has_a_purpose_and_a_size() -> None:
    assert [model.name for model in read_lock(PROJECT_LOCK).values() if not model.purpose] == []
    entries = read_hub_entries(PROJECT_LOCK)
    assert [model.name for model in entries.values() if not (model.purpose and model.about_bytes)] == []
    gated = {model.repository for model in entries.values() if model.gated}
    assert gated == {"sesame/csm-1b", "kyutai/pocket-tts"}
