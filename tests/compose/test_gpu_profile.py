"""The configuration of compose.yaml with a plan for a GPU, rendered by Docker Compose; nothing is started."""

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
USER = "USER 10001:10001"
GPU = {"driver": "nvidia", "device_ids": ["0"], "capabilities": ["gpu"]}
DOCKERFILE = (PROJECT / "tts-service/Dockerfile").read_text("utf-8")
# The compile cache of torch in a container.
COMPILE_CACHE = "/tmp/compiled"  # noqa: S108
STT_DOCKERFILE = (PROJECT / "stt-service/Dockerfile").read_text("utf-8")
MODELS_DOCKERFILE = (PROJECT / "deploy/models/Dockerfile").read_text("utf-8")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with the files that Compose reads, and without a developer's .env."""
    shutil.copy(PROJECT / "compose.yaml", tmp_path)
    shutil.copytree(PROJECT / "deploy", tmp_path / "deploy")
    return tmp_path


def configured(project: Path, *options: str) -> dict[str, Any]:
    """The services as Compose renders them."""
    if shutil.which("docker") is None:
        pytest.skip("needs Docker Compose, which is not installed")
    # Variables of the shell would override the plan.
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
    """The mount points of a service."""
    return {volume["target"] for volume in service.get("volumes", [])}


@pytest.mark.parametrize("profile", ["embedded", "cpu", None])
def test_without_the_gpu_profile_no_service_requests_a_gpu(project: Path, profile: str | None) -> None:
    if profile is not None:
        (project / ".env").write_text(f"ANCHOR_PROFILE={profile}\nCOMPOSE_PROFILES={profile}\n")
    services = configured(project)
    assert [name for name, service in services.items() if devices(service)] == []
    assert services["tts-service"]["image"] == f"ai-anchor/tts-service:{profile or 'embedded'}"
    assert services["tts-service"]["build"]["target"] == "cpu"
    stt = services["stt-service"]
    assert stt["image"] == "ai-anchor/stt-service:local"
    assert not stt["environment"]["STT_WHISPER_MODEL"]
    assert ("/app/models-given" in targets(stt)) == (profile == "cpu")


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.stem)
def test_a_plan_configures_the_servers(project: Path, plan: Path) -> None:
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
    tts = services["tts-service"]
    own = {name: value for name, value in planned.items() if name.startswith("TTS_")}
    assert own.items() <= tts["environment"].items()
    stt = services["stt-service"]
    assert devices(stt) == [GPU]
    chosen = {name: value for name, value in planned.items() if name.startswith("STT_")}
    assert chosen.items() <= stt["environment"].items()
    # The model store's volume, one folder for models it is given, and one volume for what it builds.
    assert {"/app/models", "/app/models-given", "/cache"} <= targets(stt)
    assert stt["environment"]["STT_WHISPER_MODEL"] == "/app/models-given/whisper"
    assert ("voxtral" in services) == (planned["STT_ENGINE"] == "voxtral")
    assert services["gpu-monitor"]["environment"]["GPU_VLLM_URL"] == planned["GPU_VLLM_URL"]
    if "voxtral" in services:
        assert devices(services["voxtral"]) == [GPU]
        command = " ".join(services["voxtral"]["command"])
        assert f"--gpu-memory-utilization={planned['VOXTRAL_GPU_MEMORY_UTILIZATION']} " in f"{command} "
        assert f"--kv-cache-memory-bytes={planned['VOXTRAL_KV_CACHE_MEMORY_BYTES']} " in f"{command} "


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.stem)
def test_the_gpu_profile_uses_the_tts_image_with_torch(project: Path, plan: Path) -> None:
    services = configured(project, f"--env-file={plan}", "--profile=gpu")
    tts = services["tts-service"]
    assert tts["image"] == "ai-anchor/tts-service:gpu"
    assert tts["build"]["target"] == "gpu"
    assert devices(tts) == [GPU]
    assert tts["read_only"] is True
    mounted = {volume["target"]: volume for volume in tts["volumes"]}
    assert mounted["/app/models"]["read_only"] is True
    # Models in that folder are verified by the lock.
    assert tts["environment"]["ANCHOR_MODELS_DIR"] == "/app/models"
    assert tts["environment"]["ANCHOR_MODELS_LOCK"] == "/app/models.lock"
    assert "COPY models.lock /app/" in stage_of(DOCKERFILE, "base")
    assert mounted["/app/voices"]["type"] == "volume"
    assert tts["environment"]["TTS_HIGGS_VOICES"].startswith("/app/voices/")


def test_only_the_compile_cache_is_both_writable_and_executable(project: Path) -> None:
    tts = configured(project, "--profile=gpu", f"--env-file={PLANS[0]}")["tts-service"]
    options = {path: rest.split(",") for path, _, rest in (mount.partition(":") for mount in tts["tmpfs"])}
    assert [path for path, chosen in options.items() if "exec" in chosen] == [COMPILE_CACHE]
    assert {"uid=10001", "gid=10001", "mode=0700"} <= set(options[COMPILE_CACHE])
    stage = stage_of(DOCKERFILE, "gpu")
    assert re.search(r"apt-get install .*\bgcc\b.*\blibc6-dev\b", stage)
    caches = re.findall(r"(?:TORCHINDUCTOR|TRITON)_CACHE_DIR=(\S+)", stage)
    assert len(caches) == 2
    assert all(cache.startswith(f"{COMPILE_CACHE}/") for cache in caches)


def test_cublas_is_installed_only_on_request(project: Path) -> None:
    (project / ".env").write_text("ANCHOR_PROFILE=gpu\n")
    assert configured(project)["stt-service"]["build"]["args"] == {"CUBLAS": ""}
    (project / ".env").write_text("ANCHOR_PROFILE=gpu\nSTT_CUBLAS=nvidia-cublas-cu12==12.9.1.4\n")
    assert configured(project)["stt-service"]["build"]["args"] == {"CUBLAS": "nvidia-cublas-cu12==12.9.1.4"}
    lock = (PROJECT / "stt-service/requirements.lock").read_text("utf-8")
    assert not re.search(r"^(torch|nvidia[-\w]*|triton)==", lock, re.MULTILINE)
    assert re.search(r"^ctranslate2==", lock, re.MULTILINE)


def test_a_whisper_model_is_read_from_the_mounted_folder(project: Path) -> None:
    (project / ".env").write_text("ANCHOR_PROFILE=cpu\nSTT_WHISPER_MODEL=whisper-small\n")
    stt = configured(project)["stt-service"]
    assert stt["environment"]["STT_WHISPER_MODEL"] == "/app/models-given/whisper-small"
    given = next(volume for volume in stt["volumes"] if volume["target"] == "/app/models-given")
    assert given["read_only"] is True
    assert Path(given["source"]).name == "models"


def stage_of(dockerfile: str, name: str) -> str:
    """A stage of a Dockerfile, from its name to its end."""
    (stage,) = (
        part for part in re.split(r"^FROM ", dockerfile, flags=re.MULTILINE) if re.match(rf"\S+ AS {name}\n", part)
    )
    return stage


def test_both_tts_images_run_unprivileged_and_contain_no_weights() -> None:
    assert USER in stage_of(DOCKERFILE, "base")
    for name in ("gpu", "cpu"):
        stage = stage_of(DOCKERFILE, name)
        assert re.findall(r"^USER .*$", stage, re.MULTILINE)[-1:] in ([], [USER])
        assert re.findall(r"^COPY .*$", stage, re.MULTILINE) == [f"COPY --from=build-{name} /opt/anchor /opt/anchor"]


@pytest.mark.parametrize(
    ("dockerfile", "copied"),
    [
        (STT_DOCKERFILE, {"LICENSE", "models.lock", "content/knowledge"}),
        (MODELS_DOCKERFILE, {"LICENSE", "models.lock", "deploy/licences"}),
    ],
    ids=["stt-service", "models"],
)
def test_an_image_runs_unprivileged_and_copies_no_weights(dockerfile: str, copied: set[str]) -> None:
    stage = re.split(r"^FROM ", dockerfile, flags=re.MULTILINE)[-1]
    assert re.findall(r"^USER .*$", stage, re.MULTILINE)[-1:] == [USER]
    assert {source for source in re.findall(r"^COPY (\S+)", stage, re.MULTILINE) if source[0] != "-"} == copied


def test_torch_has_the_same_version_in_images_and_tests() -> None:
    pinned = re.findall(r"torch==([\d.]+)", DOCKERFILE)
    assert pinned
    assert set(pinned) == set(re.findall(r"ENGINES_PIP\) install torch==([\d.]+)", (PROJECT / "Makefile").read_text()))
    lock = (PROJECT / "tts-service/gpu-requirements.lock").read_text("utf-8")
    assert "transformers==" in lock
    assert not re.search(r"^(torch|nvidia[-\w]*|triton)==", lock, re.MULTILINE)


def test_cloned_voices_are_kept_on_a_volume(project: Path) -> None:
    (project / ".env").write_text("ANCHOR_PROFILE=gpu\nCOMPOSE_PROFILES=gpu\n")
    service = configured(project)["tts-service"]
    folders = {service["environment"][f"TTS_{engine}_VOICES"] for engine in ("HIGGS", "CSM")}
    # A folder each: the codes of one codec mean nothing to the other.
    assert len(folders) == 2
    volumes = [volume for volume in service["volumes"] if volume["type"] == "volume" and not volume.get("read_only")]
    kept = [volume["target"] for volume in volumes]
    assert all(any(folder.startswith(f"{target}/") for target in kept) for folder in folders)
    # The image gives the user of the service the mount point, and with it the new volume.
    assert all(target in DOCKERFILE[DOCKERFILE.index("install -d -o 10001") :].splitlines()[0] for target in kept)
