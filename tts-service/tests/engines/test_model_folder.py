"""Errors of a model's folder name the missing or broken file."""

from __future__ import annotations

from pathlib import Path

import pytest
from service_kit.errors import EngineFailed
from tts_service.engines.model_folder import find_file, read_config


def test_first_existing_file_name_is_used(tmp_path: Path) -> None:
    (tmp_path / "second").write_text("")
    assert find_file(tmp_path, "first", "second") == tmp_path / "second"


def test_missing_file_is_named_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(EngineFailed, match=r"model_layout.*no first or second in .*put"):
        find_file(tmp_path, "first", "second")
    with pytest.raises(EngineFailed, match=r"no config.json"):
        read_config(tmp_path, "csm")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "model_broken"),
        ("[]", "type None"),
        ("{}", "type None"),
        ('{"model_type": "llama"}', "'llama', not 'csm'"),
    ],
)
def test_config_of_another_model_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(EngineFailed, match=reason):
        read_config(tmp_path, "csm")


def test_config_of_the_model_is_read(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "csm", "num_codebooks": 32}')
    assert read_config(tmp_path, "csm")["num_codebooks"] == 32
