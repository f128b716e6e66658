"""docs/migration.md: an assistant of Whisper, Ollama and Piper keeps its models under the names it has."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest
from compose_config import rendered
from settings_classes import all_names_of, settings_classes
from tts_service.settings import TtsSettings

ROOT = Path(__file__).parents[1]
SECTION = (ROOT / "docs/migration.md").read_text("utf-8").partition("## Whisper, Ollama and Piper instead\n")[2]
PROCESSES, CONTAINERS = (
    dict(line.split("=", 1) for line in block.splitlines())
    for block in re.findall(r"^```sh\n(.*?)^```", SECTION, re.DOTALL | re.MULTILINE)
)


def test_every_setting_of_the_section_is_read() -> None:
    known = {name for cls in settings_classes() for name in all_names_of(cls)} | {"COMPOSE_PROFILES"}
    assert PROCESSES.keys() | CONTAINERS.keys() <= known


def test_the_containers_run_the_models_that_the_section_names(tmp_path: Path) -> None:
    env = tmp_path / "three.env"
    env.write_text("".join(f"{name}={value}\n" for name, value in CONTAINERS.items()))
    services = rendered(env)
    assert services["ollama"]["environment"]["OLLAMA_MODEL_NAME"] == CONTAINERS["OLLAMA_MODEL"]
    assert services["orchestrator"]["environment"]["OLLAMA_MODEL"] == CONTAINERS["OLLAMA_MODEL"]
    recogniser = services["stt-service"]
    assert recogniser["environment"]["STT_WHISPER_MODEL"] == f"/app/models-given/{CONTAINERS['STT_WHISPER_MODEL']}"
    assert str(ROOT / "models") in {mount["source"] for mount in recogniser["volumes"]}
    # The server fetches what the service asks it for.
    server, speech = services["piper"]["environment"], services["tts-service"]["environment"]
    assert server["TTS_PIPER_VOICES"] == speech["PIPER_MODEL_PATH"] == CONTAINERS["PIPER_MODEL_PATH"]
    assert speech["TTS_PIPER_URL"] == "http://piper:5000"


@pytest.mark.parametrize(
    ("value", "voices"),
    [
        (CONTAINERS["PIPER_MODEL_PATH"], ["en_US-lessac-medium"]),
        ('["hi_IN-rohan-medium", "de_DE-thorsten-high"]', ["hi_IN-rohan-medium", "de_DE-thorsten-high"]),
    ],
)
def test_pipers_server_reads_voices_as_the_service_does(
    monkeypatch: pytest.MonkeyPatch, value: str, voices: list[str]
) -> None:
    spec = importlib.util.spec_from_file_location("piper_serve", ROOT / "deploy/piper/serve.py")
    assert spec is not None
    assert spec.loader is not None
    serve = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(serve)
    assert serve.read_voices(value) == voices
    monkeypatch.setenv("PIPER_MODEL_PATH", value)
    assert list(TtsSettings().piper_voices) == voices


def test_without_a_setting_the_default_voice_is_fetched() -> None:
    piper = rendered(ANCHOR_PROFILE="cpu", COMPOSE_PROFILES="cpu,piper")["piper"]
    assert piper["environment"]["TTS_PIPER_VOICES"] == '["hi_IN-rohan-medium"]'
    chosen = rendered(COMPOSE_PROFILES="piper", TTS_PIPER_VOICES='["a"]', PIPER_MODEL_PATH="/b.onnx")["piper"]
    assert chosen["environment"]["TTS_PIPER_VOICES"] == '["a"]'
