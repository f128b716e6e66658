"""The containers, with programs named docker and nvidia-smi in front of the path."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from anchor_cli.app import app
from anchor_cli.doctor.machine import LocalMachine
from anchor_cli.plan.catalogue import read_catalogue
from anchor_cli.plan.overrides import build_planner
from anchor_cli.settings import MeshSettings
from anchor_cli.verification.equipment.containers import ContainerEquipment
from rich.console import Console
from service_kit.errors import EngineFailed, NotFound
from typer.testing import CliRunner

CONFIG = {"services": {"ollama-gpu": {"image": "ollama/ollama:1", "environment": {"OLLAMA_MODEL_NAME": "model:Q4"}}}}
# Notes its arguments, and answers as Docker does.
DOCKER = """#!/bin/sh
echo "$@" >> "{folder}/calls"
case "$*" in
  *"config --format json"*) cat "{folder}/config.json" ;;
  *"ps --quiet gone"*) ;;
  *"ps --quiet "*) echo 0123abcd ;;
  "inspect 0123abcd") cat "{folder}/inspect.json" ;;
  run*) cat "{folder}/card" ;;
esac
"""
LOCK = """
[[model]]
kind = "hub"
name = "higgs-audio-v2"
repository = "owner/higgs"
revision = "main"
licence = "none"
profiles = ["gpu"]
files = []
"""
SMI = """#!/bin/sh
case "$*" in
  *driver_version*) echo "NVIDIA RTX 6000 Ada Generation, 580.95.05, 49140, 500" ;;
  *--id=0*) echo "NVIDIA RTX 6000 Ada Generation, 49140, 500, 8.9" ;;
  *--id=1*) echo "NVIDIA T4, 15360, 10, 7.5" ;;
esac
"""


def write_program(path: Path, text: str) -> None:
    path.write_text(text, "utf-8")
    path.chmod(0o755)


@pytest.fixture
def equipment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ContainerEquipment:
    write_program(tmp_path / "docker", DOCKER.format(folder=tmp_path))
    write_program(tmp_path / "nvidia-smi", SMI)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    (tmp_path / "config.json").write_text(json.dumps(CONFIG), "utf-8")
    networks = {"outside": {"IPAddress": ""}, "mesh": {"IPAddress": "172.18.0.5"}}
    (tmp_path / "inspect.json").write_text(json.dumps([{"NetworkSettings": {"Networks": networks}}]), "utf-8")
    (tmp_path / "card").write_text("GPU 0: NVIDIA RTX 6000 Ada Generation\n", "utf-8")
    return equipment_in(tmp_path)


def equipment_in(folder: Path, offline: bool = False) -> ContainerEquipment:
    catalogue = read_catalogue()
    plan = build_planner(catalogue, [], None).plan(catalogue.card("rtx6000-ada"))
    settings = MeshSettings(root=folder, shared_secret="key", models_dir=Path("models"))  # type: ignore[arg-type] # noqa: S106
    console = Console(quiet=True)
    return ContainerEquipment(settings, LocalMachine(), plan, console, folder / "log", ("python3",), offline)


def calls(folder: Path) -> list[str]:
    """The Compose commands, without the options that all of them have."""
    lines = (folder / "calls").read_text("utf-8").splitlines()
    return [line.partition("--profile voxtral ")[2] for line in lines if line.startswith("compose")]


async def test_the_language_model_is_alone_on_the_card(equipment: ContainerEquipment, tmp_path: Path) -> None:
    async with equipment.language_model() as server:
        assert (server.url, server.model) == ("http://172.18.0.5:11434", "model:Q4")
        assert server.context_tokens == equipment.plan.service("llm").choice.context_tokens
    stopped, started, *_ = calls(tmp_path)
    assert stopped == "stop tts-service ollama-gpu voxtral stt-service"
    assert started == "up --build --wait --detach --no-deps ollama-gpu"


async def test_recognition_starts_beside_the_others(equipment: ContainerEquipment, tmp_path: Path) -> None:
    async with equipment.recognition() as servers, equipment.speech() as tts_target:
        assert servers.stt_target == "172.18.0.5:9081"
        assert servers.server_url == "http://172.18.0.5:8000"
        assert tts_target == "172.18.0.5:9083"
    assert calls(tmp_path)[0] == "up --build --wait --detach voxtral stt-service"


async def test_the_mesh_is_what_make_up_starts(equipment: ContainerEquipment, tmp_path: Path) -> None:
    async with equipment.mesh() as mesh:
        assert mesh.headers == {"Authorization": "Bearer key"}
        assert (mesh.api_url, mesh.gpu_target) == ("http://127.0.0.1:8080", "172.18.0.5:9084")
        assert mesh.voices == 4
    assert calls(tmp_path)[0] == "up --build --wait --detach"


async def test_offline_pulls_and_builds_nothing(equipment: ContainerEquipment, tmp_path: Path) -> None:
    offline = equipment_in(tmp_path, offline=True)
    async with offline.speech():
        assert calls(tmp_path)[0] == "up --pull never --wait --detach tts-service"
    await offline.card_in_container()
    assert "run --rm --pull never --gpus all" in (tmp_path / "calls").read_text("utf-8")


async def test_the_card_is_asked_in_a_container_and_by_the_driver(
    equipment: ContainerEquipment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await equipment.card_in_container() == "GPU 0: NVIDIA RTX 6000 Ada Generation"
    assert await equipment.used_bytes() == 500 * 2**20
    monkeypatch.setenv("ANCHOR_GPU", "1")
    assert await equipment.used_bytes() == 10 * 2**20
    (tmp_path / "card").unlink()
    assert await equipment.card_in_container() == ""
    write_program(tmp_path / "nvidia-smi", "#!/bin/sh\nexit 9\n")
    assert await equipment.used_bytes() is None


async def test_a_container_without_an_address_is_an_error(equipment: ContainerEquipment, tmp_path: Path) -> None:
    (tmp_path / "inspect.json").write_text('[{"NetworkSettings": {"Networks": {}}}]', "utf-8")
    with pytest.raises(NotFound, match="has no address"):
        async with equipment.speech():
            pass
    write_program(tmp_path / "docker", "#!/bin/sh\nexit 0\n")
    with pytest.raises(NotFound, match="does not run"):
        async with equipment.speech():
            pass


async def test_a_failing_start_has_composes_last_words(equipment: ContainerEquipment, tmp_path: Path) -> None:
    write_program(tmp_path / "docker", "#!/bin/sh\necho 'container is unhealthy' >&2\nexit 1\n")
    with pytest.raises(EngineFailed, match="container is unhealthy"):
        async with equipment.mesh():
            pass


def test_the_command_runs_one_step_on_a_card(
    equipment: ContainerEquipment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    environment = {"ANCHOR_PROFILE": "gpu", "ANCHOR_ROOT": str(tmp_path), "ANCHOR_RUN_DIR": "run", "COLUMNS": "200"}
    result = CliRunner().invoke(app, ["verify-gpu", "--only", "machine"], env=environment)
    found = json.loads((tmp_path / "run/verify-gpu.json").read_text("utf-8"))
    assert found["subject"]["card"]["title"] == "NVIDIA RTX 6000 Ada Generation"
    assert found["subject"]["driver"] == "580.95.05"
    (step,) = found["steps"]
    verdicts = {check["name"]: check["verdict"] for check in step["checks"] if not check["name"].startswith("disk")}
    assert set(verdicts.values()) == {"PASS"}, step["checks"]
    # The disk of this machine may be too small.
    assert (result.exit_code, step["verdict"]) in {(0, "PASS"), (1, "FAIL")}
    assert f"{step['verdict']:5}machine" in result.output


async def test_models_come_from_the_store(equipment: ContainerEquipment, tmp_path: Path) -> None:
    (tmp_path / "models.lock").write_text(LOCK, "utf-8")
    with pytest.raises(EngineFailed, match="missing or changed: higgs-audio-v2"):
        await equipment.fetch_models(offline=True)
    folder = tmp_path / "models"
    assert equipment.voice_models().codec == folder / "higgs-audio-v2-tokenizer"
    other = folder / "higgs-audio-v2-tokenizer-copy"
    other.mkdir(parents=True)
    (other / "model.safetensors").touch()
    assert equipment.voice_models().codec == other
