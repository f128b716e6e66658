"""Settings of the tts-service under the names that other voice servers use."""

from __future__ import annotations

from pathlib import Path

import pytest
from tts_service.settings import TtsSettings


def test_model_path_is_a_folder_or_the_hubs_name_of_what_was_pulled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HIGGS_AUDIO_MODEL_PATH", str(tmp_path))
    assert TtsSettings().higgs_model == tmp_path
    monkeypatch.setenv("HIGGS_AUDIO_MODEL_PATH", "bosonai/higgs-audio-v2-generation-3B-base")
    assert TtsSettings().higgs_model is None
    monkeypatch.setenv("TTS_HIGGS_MODEL", "mine")
    assert TtsSettings().higgs_model == Path("mine")


@pytest.mark.parametrize(
    ("device", "found"), [("cuda:1", "cuda:1"), ("cpu", "cpu"), ("auto", "cuda"), ("AUTO", "cuda"), ("CPU", "cpu")]
)
def test_one_device_for_all_engines(device: str, found: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEVICE", device)
    settings = TtsSettings()
    assert (settings.higgs_device, settings.csm_device) == (found, found)


@pytest.mark.parametrize("path", ["/models/en_US-lessac-medium.onnx", "en_US-lessac-medium"])
def test_path_of_a_piper_voice_names_the_voice(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPER_MODEL_PATH", path)
    assert TtsSettings().piper_voices == ("en_US-lessac-medium",)
    monkeypatch.setenv("TTS_PIPER_VOICES", '["de_DE-thorsten-medium", "nl_NL-mls-medium"]')
    assert TtsSettings().piper_voices == ("de_DE-thorsten-medium", "nl_NL-mls-medium")


def test_models_folder_under_its_familiar_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_CACHE_DIR", "/srv/models")
    assert TtsSettings().models_dir == Path("/srv/models")
