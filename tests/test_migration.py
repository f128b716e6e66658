"""docs/migration.md: an assistant of Whisper, Ollama and Piper keeps its models under the names it has."""

from __future__ import annotations

import re
from pathlib import Path

from compose_config import rendered
from settings_classes import all_names_of, settings_classes

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
    # What is fetched for the server is what the service asks it for.
    fetch, speech = services["piper-voices"], services["tts-service"]["environment"]
    assert fetch["command"] == ["pull", "piper"]
    assert fetch["environment"]["PIPER_MODEL_PATH"] == speech["PIPER_MODEL_PATH"] == CONTAINERS["PIPER_MODEL_PATH"]
    assert services["piper"]["depends_on"]["piper-voices"]["condition"] == "service_completed_successfully"
    assert speech["TTS_PIPER_URL"] == "http://piper:5000"
