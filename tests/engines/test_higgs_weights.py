"""Weights that are not whole, or under other names: every format accepts and refuses the same files."""
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import higgs_weights
import pytest
import torch
from safetensors.torch import load_file, save_file
from service_kit.errors import EngineFailed
from torch import Tensor
from tts_service.engines.higgs.model.loading import load_language_model
from tts_service.engines.higgs.model.piecewise_loading import load_piecewise
from tts_service.engines.higgs.model.quantised import QuantisedLinear, unpacked_matmul

CPU = torch.device("cpu")
FORMATS = ("bf16", "int8", "fp8")
HEAD, OLD_HEAD = "audio_lm_head.weight", "audio_decoder_proj.audio_lm_head.weight"
OLD_TEXT_HEAD = "audio_decoder_proj.text_lm_head.weight"
Weights = dict[str, Tensor]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("higgs-weights")
    higgs_weights.write_model(made, endings=0.5)
    return made


def changed(folder: Path, made: Path, change: Callable[[Weights], object]) -> Path:
    """A copy of the model in `folder` with other weights."""
    shutil.copytree(folder, made, dirs_exist_ok=True)
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, made / "model.safetensors")
    return made


def load(folder: Path, weights: str) -> Any:
    """The model in one of `FORMATS`; fp8 by plain operations, because the CPU has no fp8."""
    if weights == "fp8":
        layer = partial(QuantisedLinear, kind="fp8", matmul=unpacked_matmul)
        return load_piecewise(folder, CPU, torch.float32, layer)
    return load_language_model(folder, CPU, weights)  # type: ignore[arg-type]


def without_speech_feed_forward(weights: Weights) -> None:
    for name in [name for name in weights if "audio_mlp" in name]:
        del weights[name]


def with_stranger(weights: Weights) -> None:
    weights["model.layers.2.audio_mlp.up_proj.weight"] = torch.zeros(2, 2)


def with_other_shape(weights: Weights) -> None:
    weights[HEAD] = weights[HEAD][:-1].clone()


@pytest.mark.parametrize("weights", FORMATS)
@pytest.mark.parametrize(
    ("change", "named"),
    [
        (without_speech_feed_forward, r"lack model\.layers\.0\.audio_mlp"),
        (lambda weights: weights.pop(HEAD), r"lack audio_lm_head\.weight"),
        (lambda weights: weights.pop("model.norm.weight"), r"lack model\.norm\.weight"),
        (with_stranger, r"the model has no model\.layers\.2\.audio_mlp\.up_proj\.weight"),
        (with_other_shape, r"expects no audio_lm_head\.weight of shape"),
    ],
    ids=["no audio_mlp", "no head", "no norm", "another layer", "another shape"],
)
def test_incomplete_weights_are_refused(
    folder: Path, tmp_path: Path, change: Callable[[Weights], object], named: str, weights: str
) -> None:
    with pytest.raises(EngineFailed, match=named) as refused:
        load(changed(folder, tmp_path, change), weights)
    assert refused.value.code == "tts.model_layout"


def add_old_heads(weights: Weights) -> None:
    weights[OLD_HEAD] = torch.zeros(3)
    weights[OLD_TEXT_HEAD] = torch.zeros(3)


def rename_head(weights: Weights) -> None:
    weights[OLD_HEAD] = weights.pop(HEAD)


@pytest.mark.parametrize("weights", FORMATS)
@pytest.mark.parametrize("change", [add_old_heads, rename_head])
def test_heads_of_the_older_layout_are_understood(
    folder: Path, tmp_path: Path, change: Callable[[Weights], object], weights: str
) -> None:
    found = load(changed(folder, tmp_path, change), weights)
    assert torch.equal(found.audio_lm_head.weight, load_file(folder / "model.safetensors")[HEAD])


@pytest.mark.parametrize("weights", FORMATS)
def test_weights_in_parts_are_those_of_the_index(folder: Path, tmp_path: Path, weights: str) -> None:
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    whole = load_file(folder / "model.safetensors")
    names = sorted(whole)
    places = {name: f"model-0000{1 + (number % 2)}-of-00002.safetensors" for number, name in enumerate(names)}
    for part in set(places.values()):
        save_file({name: whole[name] for name in names if places[name] == part}, tmp_path / part)
    # Of another download.
    save_file({"stray": torch.zeros(1)}, tmp_path / "model-00003-of-00003.safetensors")
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    assert torch.equal(load(tmp_path, weights).audio_lm_head.weight, whole[HEAD])
    (tmp_path / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(EngineFailed, match="there is no model-00002-of-00002"):
        load(tmp_path, weights)


@pytest.mark.parametrize("weights", FORMATS)
@pytest.mark.parametrize(
    ("name", "content"),
    [("model.safetensors", b"{}"), ("model.safetensors.index.json", b"[]"), ("model.safetensors.index.json", b"{")],
)
def test_unreadable_weights_are_refused(folder: Path, tmp_path: Path, name: str, content: bytes, weights: str) -> None:
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    (tmp_path / name).write_bytes(content)
    with pytest.raises(EngineFailed, match="cannot be read") as refused:
        load(tmp_path, weights)
    assert refused.value.code == "tts.model_broken"


@pytest.mark.parametrize("weights", FORMATS)
def test_folder_without_weights_is_refused(folder: Path, tmp_path: Path, weights: str) -> None:
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    with pytest.raises(EngineFailed, match=r"there is no model\.safetensors or model\.safetensors\.index\.json"):
        load(tmp_path, weights)
