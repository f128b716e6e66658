"""What compose.yaml makes of a plan for a GPU: read by Docker Compose itself, nothing is started."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from compose_support import PROJECT
from dotenv import dotenv_values

PLANS = sorted((PROJECT / "deploy/profiles").glob("*.env"))
GPU = {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}
DOCKERFILE = (PROJECT / "tts-service/Dockerfile").read_text("utf-8")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with what Compose reads, and no .env of a developer."""
    shutil.copy(PROJECT / "compose.yaml", tmp_path)
    shutil.copytree(PROJECT / "deploy", tmp_path / "deploy")
    return tmp_path


def configured(project: Path, *options: str) -> dict[str, Any]:
    """The services as Compose would start them."""
    if shutil.which("docker") is None:
        pytest.skip("needs Docker Compose, which is not installed")
    # What a shell says would stand above the plan.
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    done = subprocess.run(
        ["docker", "compose", *options, "config", "--format=json"],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["services"]


def devices(service: dict[str, Any]) -> list[dict[str, Any]]:
    return service.get("deploy", {}).get("resources", {}).get("reservations", {}).get("devices", [])


@pytest.mark.parametrize("profile", ["embedded", "cpu", None])
def test_without_the_gpu_profile_nothing_asks_for_a_gpu(project: Path, profile: str | None) -> None:
    if profile is not None:
        (project / ".env").write_text(f"ANCHOR_PROFILE={profile}\nCOMPOSE_PROFILES={profile}\n")
    services = configured(project)
    assert [name for name, service in services.items() if devices(service)] == []
    assert services["tts-service"]["image"] == f"ai-anchor/tts-service:{profile or 'embedded'}"
    assert services["tts-service"]["build"]["target"] == "cpu"
    assert services["tts-service"].get("volumes", []) == []


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.stem)
def test_a_plan_decides_what_the_servers_take(project: Path, plan: Path) -> None:
    shutil.copy(plan, project / ".env")
    planned = {name: value or "" for name, value in dotenv_values(plan).items()}
    services = configured(project)
    ollama = services["ollama-gpu"]
    assert devices(ollama) == [GPU]
    for name, planned_as in {
        "OLLAMA_MODEL_NAME": "OLLAMA_MODEL_NAME",
        "OLLAMA_CONTEXT_LENGTH": "LLM_OLLAMA_CONTEXT_TOKENS",
        "OLLAMA_NUM_PARALLEL": "OLLAMA_NUM_PARALLEL",
        "OLLAMA_KV_CACHE_TYPE": "OLLAMA_KV_CACHE_TYPE",
    }.items():
        assert ollama["environment"][name] == planned[planned_as]
    speech = services["tts-service"]
    own = {name: value for name, value in planned.items() if name.startswith("TTS_")}
    assert own.items() <= speech["environment"].items()
    assert ("voxtral" in services) == (planned.get("STT_ENGINE") == "voxtral")
    if "voxtral" in services:
        assert devices(services["voxtral"]) == [GPU]
        command = " ".join(services["voxtral"]["command"])
        assert f"--gpu-memory-utilization={planned['VOXTRAL_GPU_MEMORY_UTILIZATION']} " in f"{command} "
        assert f"--kv-cache-memory-bytes={planned['VOXTRAL_KV_CACHE_MEMORY_BYTES']} " in f"{command} "


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.stem)
def test_the_gpu_profile_speaks_from_an_image_with_torch(project: Path, plan: Path) -> None:
    services = configured(project, f"--env-file={plan}", "--profile=gpu")
    speech = services["tts-service"]
    assert speech["image"] == "ai-anchor/tts-service:gpu"
    assert speech["build"]["target"] == "gpu"
    assert devices(speech) == [GPU]
    assert speech["read_only"] is True
    mounted = {volume["target"]: volume for volume in speech["volumes"]}
    assert mounted["/app/models"]["read_only"] is True
    assert mounted["/app/voices"]["type"] == "volume"
    assert speech["environment"]["TTS_HIGGS_VOICES"].startswith("/app/voices/")


def test_nobody_is_root_and_no_weights_are_in_either_image() -> None:
    last_stages = re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)
    shared = next(stage for stage in last_stages if " AS base" in stage)
    assert "USER 10001:10001" in shared
    for name in ("gpu", "cpu"):
        (stage,) = (stage for stage in last_stages if re.match(rf"base AS {name}\b", stage))
        assert "USER" not in stage
        assert re.findall(r"^COPY .*$", stage, re.MULTILINE) == [f"COPY --from=build-{name} /opt/anchor /opt/anchor"]


def test_torch_is_as_pinned_as_it_is_for_the_tests_of_the_engines() -> None:
    pinned = re.findall(r"torch==([\d.]+)", DOCKERFILE)
    assert pinned
    assert set(pinned) == set(re.findall(r"ENGINES_PIP\) install torch==([\d.]+)", (PROJECT / "Makefile").read_text()))
    lock = (PROJECT / "tts-service/gpu-requirements.lock").read_text("utf-8")
    assert "transformers==" in lock
    assert not re.search(r"^(torch|nvidia[-\w]*|triton)==", lock, re.MULTILINE)
