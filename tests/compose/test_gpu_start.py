"""The first start of the profile gpu: every container, its order, a turn, and a minute in full service.

Needs a folder with a torch wheel for CPUs, which pip's `find-links` or STAND_IN_TORCH names. What stands in for a GPU
and for the images of others is in stand_ins/compose.yaml.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from anchor_cli.client.audio_files import load_clip
from anchor_cli.client.session_client import open_session
from anchor_cli.client.turn import run_turn
from anchor_cli.plan.catalogue import read_catalogue
from anchor_cli.plan.command import write_plan
from anchor_cli.plan.overrides import build_planner
from compose_support import HTTP_PORT_SETTINGS, PROJECT, docker, free_ports, needs_docker, parse_time
from dotenv import dotenv_values
from gpu_monitor.memory.plan import read_plan
from service_kit.engines.hub import HubFile, read_hub_models, trust
from testcontainers.compose import DockerCompose

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

NAME = "anchor-gpu-test"
CARD = "rtx6000-ada"
REPLY = "The library of Alexandria kept its scrolls in ten great halls."
# Of the starts: each waits until the one before is healthy.
ORDER = ("tts-service", "ollama-gpu", "voxtral", "stt-service", "orchestrator")
# Writes tiny random weights, in the image that speaks with them.
WRITE_WEIGHTS = """
import pathlib, sys
sys.path.insert(0, "/engines")
import higgs_weights
models = pathlib.Path("/models")
higgs_weights.write_model(models / "higgs-audio-v2")
codec = models / "higgs-audio-v2-tokenizer"
codec.mkdir()
higgs_weights.write_codec(codec, loudness=0.3)
"""


@dataclass(frozen=True)
class GpuMesh:
    """The mesh of the profile gpu; `ports` are the published HTTP ports, `up_s` the seconds that its start took."""

    ports: dict[str, int]
    up_s: float

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.ports['orchestrator']}/ws/audio"

    def state(self, service: str) -> dict[str, Any]:
        return json.loads(docker("inspect", "--format={{json .State}}", f"{NAME}-{service}-1"))

    async def get(self, service: str, path: str) -> dict[str, Any]:
        async with httpx.AsyncClient(timeout=5) as http:
            return (await http.get(f"http://127.0.0.1:{self.ports[service]}{path}")).json()


def torch_wheels() -> Path:
    """The folder with the wheel of torch for CPUs; skips without one."""
    configured = [sys.executable, "-m", "pip", "config", "get", "global.find-links"]
    found = (
        os.environ.get("STAND_IN_TORCH")
        or subprocess.run(configured, capture_output=True, text=True, check=False).stdout.strip()
    )
    if not found or not list(Path(found).glob("torch-*+cpu-cp311-*.whl")):
        pytest.skip("needs a torch wheel for CPUs: STAND_IN_TORCH names its folder")
    return Path(found)


def write_files(folder: Path, question: Path, words: str) -> None:
    """The memory plan with its settings, the driver's readings, a pulled Voxtral, and what the stand-ins know."""
    planner = build_planner(read_catalogue(), [], None)
    plan = planner.plan(read_catalogue().card(CARD))
    write_plan(folder / ".env", plan, planner)
    used_bytes = plan.total_bytes + round(plan.card.driver_gib * 2**30)
    device = {"index": 0, "uuid": "GPU-stand-in", "name": plan.card.title, "memory_total_bytes": plan.card.total_bytes}
    planned = read_plan(folder / "deploy/profiles/planned.json").services
    processes = [
        {
            "pid": 1000 + number,
            "name": "server",
            "service": server.service,
            "memory_used_bytes": server.total_bytes,
        }
        for number, server in enumerate(planned)
    ]
    readings = [[device | {"memory_used_bytes": used_bytes, "processes": processes}]]
    (folder / "deploy/profiles/devices.json").write_text(json.dumps(readings))
    model = dotenv_values(folder / ".env")["OLLAMA_MODEL_NAME"]
    (folder / "script.toml").write_text(f"[llm]\nreplies = [{json.dumps(REPLY)}]\npullable = {json.dumps(model)}\n")
    (folder / "known").mkdir()
    shutil.copy(question, folder / "known/question.wav")
    (folder / "known/question.txt").write_text(words)
    models = folder / "models"
    voxtral = read_hub_models(PROJECT / "models.lock", models)["voxtral-mini-3b"]
    (models / voxtral.name).mkdir(parents=True)
    models.chmod(0o777)
    for file in voxtral.files:
        path = voxtral.path_of(file, models)
        path.write_text("{}")
        digest = subprocess.run(["sha256sum", path], capture_output=True, text=True, check=True).stdout.split()[0]
        trust(voxtral, HubFile(file.path, digest, path.stat().st_size), models)


@pytest.fixture(scope="module")
def gpu_mesh(tmp_path_factory: pytest.TempPathFactory, question) -> Iterator[GpuMesh]:
    needs_docker()
    folder = tmp_path_factory.mktemp("gpu")
    folder.chmod(0o755)
    write_files(folder, question.path, question.text)
    *http, grpc_port = free_ports(len(HTTP_PORT_SETTINGS) + 1)
    ports = dict(zip(HTTP_PORT_SETTINGS, http, strict=True))
    settings = {HTTP_PORT_SETTINGS[service]: str(port) for service, port in ports.items()}
    settings |= {"COMPOSE_PROJECT_NAME": NAME, "ORCHESTRATOR_GRPC_PORT": str(grpc_port), "CONTAINER_RUNTIME": "runc"}
    settings |= {"STAND_IN_TORCH": str(torch_wheels()), "STAND_IN_FOLDER": str(folder)}
    settings |= {"ANCHOR_MODELS_OWN_DIR": str(PROJECT / "models")}
    files = [str(PROJECT / "compose.yaml"), str(PROJECT / "tests/compose/stand_ins/compose.yaml")]
    with pytest.MonkeyPatch.context() as environment:
        for name, value in settings.items():
            environment.setenv(name, value)
        compose = DockerCompose(PROJECT, files, wait=True, env_file=str(folder / ".env"))
        # Removes the containers of a killed run.
        compose.stop()
        build = [*compose.docker_compose_command(), "build", "tts-service"]
        subprocess.run(build, cwd=PROJECT, check=True)
        engines = f"--volume={PROJECT / 'tests/engines'}:/engines:ro"
        image = "ai-anchor/tts-service:gpu"
        docker("run", "--rm", engines, f"--volume={folder / 'models'}:/models", image, "python", "-c", WRITE_WEIGHTS)
        compose.build = True
        began_s = time.monotonic()
        with compose:
            yield GpuMesh(ports, time.monotonic() - began_s)


def test_the_servers_start_one_after_another(gpu_mesh) -> None:
    states = {service: gpu_mesh.state(service) for service in ORDER}
    assert {service: state["Health"]["Status"] for service, state in states.items()} == dict.fromkeys(ORDER, "healthy")
    assert sorted(ORDER, key=lambda service: parse_time(states[service]["StartedAt"])) == list(ORDER)
    verified = gpu_mesh.state("voxtral-model")
    assert (verified["Status"], verified["ExitCode"]) == ("exited", 0)
    assert gpu_mesh.state("tts-fallback")["Health"]["Status"] == "healthy"


async def test_the_engines_of_the_plan_serve(gpu_mesh) -> None:
    assert (await gpu_mesh.get("stt-service", "/health"))["engine"] == "voxtral"
    speaking = await gpu_mesh.get("tts-service", "/health")
    assert speaking["engine"].startswith("higgs+")
    # Piper and Pocket TTS, which speak two languages by default, are not there.
    assert "higgs" not in speaking.get("degraded", "")


async def test_a_turn_is_held_and_the_mesh_stays_in_full_service(gpu_mesh, question) -> None:
    clip = load_clip(question.path)
    async with open_session(gpu_mesh.url) as talk:
        for pause_s in (60, 0):
            turn = await run_turn(talk, clip, listen_s=2)
            assert turn.transcript == question.text
            assert REPLY.startswith(turn.reply.text.strip())
            assert turn.engine == "ollama"
            until_s = time.monotonic() + pause_s
            while time.monotonic() < until_s:
                memory = await gpu_mesh.get("orchestrator", "/memory")
                assert (memory["steps"], memory["skipped"]) == ([], {})
                await asyncio.sleep(2)
        notices = [event.message.code for event in talk.events if event.name == "service_notice"]
    assert [code for code in notices if code.startswith("memory.")] == []
