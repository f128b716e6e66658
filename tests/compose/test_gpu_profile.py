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
# Where a container keeps what torch compiles.
COMPILED = "/tmp/compiled"  # noqa: S108
STT_DOCKERFILE = (PROJECT / "stt-service/Dockerfile").read_text("utf-8")


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


def targets(service: dict[str, Any]) -> set[str]:
    """What is mounted into it."""
    return {volume["target"] for volume in service.get("volumes", [])}


@pytest.mark.parametrize("profile", ["embedded", "cpu", None])
def test_without_the_gpu_profile_nothing_asks_for_a_gpu(project: Path, profile: str | None) -> None:
    if profile is not None:
        (project / ".env").write_text(f"ANCHOR_PROFILE={profile}\nCOMPOSE_PROFILES={profile}\n")
    services = configured(project)
    assert [name for name, service in services.items() if devices(service)] == []
    assert services["tts-service"]["image"] == f"ai-anchor/tts-service:{profile or 'embedded'}"
    assert services["tts-service"]["build"]["target"] == "cpu"
    assert services["tts-service"].get("volumes", []) == []
    hearing = services["stt-service"]
    assert hearing["image"] == f"ai-anchor/stt-service:{profile or 'embedded'}"
    assert hearing["build"]["target"] == ("whisper" if profile == "cpu" else "pocketsphinx")
    assert ("/app/models-given" in targets(hearing)) == (profile == "cpu")


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
    hearing = services["stt-service"]
    assert hearing["build"]["target"] == "whisper"
    assert devices(hearing) == [GPU]
    chosen = {name: value for name, value in planned.items() if name.startswith("STT_")}
    assert chosen.items() <= hearing["environment"].items()
    # One volume for what the service makes, one folder for what it is given.
    assert {"/app/models", "/app/models-given"} <= targets(hearing)
    assert ("voxtral" in services) == (planned["STT_ENGINE"] == "voxtral")
    assert services["gpu-monitor"]["environment"]["GPU_VLLM_URL"] == planned["GPU_VLLM_URL"]
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
    # What was pulled into that folder is held to the lock.
    assert speech["environment"]["ANCHOR_MODELS_DIR"] == "/app/models"
    assert speech["environment"]["ANCHOR_MODELS_LOCK"] == "/app/models.lock"
    assert "COPY models.lock /app/" in stage_of(DOCKERFILE, "base")
    assert mounted["/app/voices"]["type"] == "volume"
    assert speech["environment"]["TTS_HIGGS_VOICES"].startswith("/app/voices/")


def test_what_is_compiled_for_int8_may_be_run_and_nothing_else_that_is_written(project: Path) -> None:
    speech = configured(project, "--profile=gpu", f"--env-file={PLANS[0]}")["tts-service"]
    options = {path: rest.split(",") for path, _, rest in (mount.partition(":") for mount in speech["tmpfs"])}
    assert [path for path, chosen in options.items() if "exec" in chosen] == [COMPILED]
    assert {"uid=10001", "gid=10001", "mode=0700"} <= set(options[COMPILED])
    stage = stage_of(DOCKERFILE, "gpu")
    assert re.search(r"apt-get install .*\bgcc\b.*\blibc6-dev\b", stage)
    caches = re.findall(r"(?:TORCHINDUCTOR|TRITON)_CACHE_DIR=(\S+)", stage)
    assert len(caches) == 2
    assert all(cache.startswith(f"{COMPILED}/") for cache in caches)


def test_cublas_is_installed_only_where_somebody_asks_for_it(project: Path) -> None:
    (project / ".env").write_text("ANCHOR_PROFILE=gpu\n")
    assert configured(project)["stt-service"]["build"]["args"] == {"CUBLAS": ""}
    (project / ".env").write_text("ANCHOR_PROFILE=gpu\nSTT_CUBLAS=nvidia-cublas-cu12==12.9.1.4\n")
    assert configured(project)["stt-service"]["build"]["args"] == {"CUBLAS": "nvidia-cublas-cu12==12.9.1.4"}
    lock = (PROJECT / "stt-service/whisper-requirements.lock").read_text("utf-8")
    assert not re.search(r"^(torch|nvidia[-\w]*|triton)==", lock, re.MULTILINE)
    assert re.search(r"^faster-whisper==", lock, re.MULTILINE)


def test_a_model_of_whisper_is_looked_for_in_the_folder_that_is_mounted(project: Path) -> None:
    (project / ".env").write_text("ANCHOR_PROFILE=cpu\nSTT_WHISPER_MODEL=whisper-small\n")
    hearing = configured(project)["stt-service"]
    assert hearing["environment"]["STT_WHISPER_MODEL"] == "/app/models-given/whisper-small"
    given = next(volume for volume in hearing["volumes"] if volume["target"] == "/app/models-given")
    assert given["read_only"] is True
    assert Path(given["source"]).name == "models"


def stage_of(dockerfile: str, name: str) -> str:
    """A stage of a Dockerfile, from its name on."""
    (stage,) = (
        part for part in re.split(r"^FROM ", dockerfile, flags=re.MULTILINE) if re.match(rf"\S+ AS {name}\n", part)
    )
    return stage


@pytest.mark.parametrize(
    ("dockerfile", "names"), [(DOCKERFILE, ("gpu", "cpu")), (STT_DOCKERFILE, ("whisper", "pocketsphinx"))]
)
def test_nobody_is_root_and_no_weights_are_in_any_image(dockerfile: str, names: tuple[str, ...]) -> None:
    user = "USER 10001:10001"
    assert user in stage_of(dockerfile, "base")
    for name in names:
        stage = stage_of(dockerfile, name)
        assert re.findall(r"^USER .*$", stage, re.MULTILINE)[-1:] in ([], [user])
        assert re.findall(r"^COPY .*$", stage, re.MULTILINE) == [f"COPY --from=build-{name} /opt/anchor /opt/anchor"]


def test_torch_is_as_pinned_as_it_is_for_the_tests_of_the_engines() -> None:
    pinned = re.findall(r"torch==([\d.]+)", DOCKERFILE)
    assert pinned
    assert set(pinned) == set(re.findall(r"ENGINES_PIP\) install torch==([\d.]+)", (PROJECT / "Makefile").read_text()))
    lock = (PROJECT / "tts-service/gpu-requirements.lock").read_text("utf-8")
    assert "transformers==" in lock
    assert not re.search(r"^(torch|nvidia[-\w]*|triton)==", lock, re.MULTILINE)
