"""Headers of weight files, and the rows for models.lock."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from anchor_cli.verification.checks.files import check_pinned, render_lock_rows
from anchor_cli.verification.outcome import Result
from anchor_cli.verification.weights_header import read_json, read_weights_header
from service_kit.engines.hub import HubFile, HubModel, read_hub_models
from service_kit.errors import EngineFailed

MODEL = HubModel(
    "higgs-audio-v2",
    "bosonai/higgs-audio-v2-generation-3B-base",
    "0123456789" * 4,
    "Boson Higgs Audio 2 Community License",
    (HubFile("config.json", "ab" * 32, 1056), HubFile("model.safetensors", "cd" * 32, 2_236_880)),
    ("gpu",),
    subfolder="audio_tokenizer",
    max_bytes=10**9,
    has_tensor="fc2.weight",
    alternatives=("higgs-audio-v2-copy",),
)


def write_weights(path: Path, cut: int = 0) -> Path:
    header = json.dumps(
        {
            "__metadata__": {"format": "pt"},
            "norm.weight": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
            "head.weight": {"dtype": "F32", "shape": [3], "data_offsets": [8, 20]},
        }
    ).encode()
    whole = len(header).to_bytes(8, "little") + header + bytes(20)
    path.write_bytes(whole[: len(whole) - cut])
    return path


def test_a_header_says_how_long_its_file_is(tmp_path: Path) -> None:
    path = write_weights(tmp_path / "model.safetensors", cut=4)
    header = read_weights_header(path)
    assert header.names == ("norm.weight", "head.weight")
    assert header.whole_bytes == path.stat().st_size + 4


@pytest.mark.parametrize("content", [b"", b"\xff" * 16, b"\x02\0\0\0\0\0\0\0[]", b"\x09\0\0\0\0\0\0\0" + b'{"a": {}}'])
def test_a_file_without_a_header_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(EngineFailed, match="is no safetensors file"):
        read_weights_header(path)


def test_a_configuration_must_be_an_object(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    for content in ("[]", "{"):
        path.write_text(content, "utf-8")
        with pytest.raises(EngineFailed):
            read_json(path)


def test_lock_rows_are_what_models_lock_reads(tmp_path: Path) -> None:
    lock = tmp_path / "models.lock"
    copy = replace(MODEL, name="higgs-audio-v2-copy", alternatives=(), subfolder="", max_bytes=0, has_tensor="")
    voice = HubFile("voices/a.safetensors", "ef" * 32, 9, "languages/en/a.safetensors", "other/voices", "ab" * 20)
    mixed = replace(copy, name="mixed", files=(*copy.files, voice), purpose="speech", gated=True)
    lock.write_text(render_lock_rows([MODEL, copy, mixed]), "utf-8")
    assert read_hub_models(lock, tmp_path) == {MODEL.name: MODEL, copy.name: copy, mixed.name: mixed}


def test_only_known_commits_and_hashes_can_be_pinned() -> None:
    assert check_pinned([MODEL]).verdict is Result.PASS
    moving = HubModel("voxtral", "mistralai/voxtral", "main", "Apache-2.0", (HubFile("params.json", "", 0),))
    check = check_pinned([MODEL, moving])
    assert check.verdict is Result.FAIL
    assert "voxtral" in check.message
