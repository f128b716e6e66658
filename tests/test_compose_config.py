"""What compose.yaml gives each container: settings, secrets, the GPU, memory, folders and images."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from anchor_cli.mesh.programs import SECRETS as SECRETS_OF_PROGRAMS
from anchor_cli.mesh.programs import mesh_programs
from anchor_cli.settings import MeshSettings
from compose_config import NO_FILE, PROJECT, compose_config, rendered
from orchestrator.settings import OrchestratorSettings
from pydantic import SecretStr, ValidationError
from service_kit.familiar_settings import FamiliarSettings
from service_kit.settings import ServiceSettings
from settings_classes import all_names_of, names_of, settings_classes

PLAN = PROJECT / "deploy/profiles/rtx6000-ada.env"
# The package in each container of ours that stays.
PACKAGES = {
    "vad-service": "vad_service",
    "stt-service": "stt_service",
    "tts-service": "tts_service",
    "tts-fallback": "tts_service",
    "gpu-monitor": "gpu_monitor",
    "orchestrator": "orchestrator",
    "local-llm": "llm_service",
    "measure-stt": "stt_service",
    "measure-tts": "tts_service",
}
TRACED = frozenset(PACKAGES) - {"local-llm", "measure-stt", "measure-tts"}
# Settings that a container leaves at their defaults: the local model shares the orchestrator's network, where another
# port would not be found; a measurement does not listen.
UNSET = {
    "local-llm": {"LLM_HTTP_PORT"},
    "measure-stt": {"ANCHOR_INTERNAL_HOST", "STT_GRPC_PORT", "STT_HTTP_PORT", "STT_KNOWLEDGE_DIR", "STT_CACHE_DIR"},
    "measure-tts": {"ANCHOR_INTERNAL_HOST", "TTS_GRPC_PORT", "TTS_HTTP_PORT"},
}
# Read by libraries and by the container runtime.
OF_LIBRARIES = {
    "tts-service": {"OMP_NUM_THREADS", "TORCHINDUCTOR_COMPILE_THREADS"},
    "gpu-monitor": {"NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES"},
}
# The containers that each secret of .env is for.
SECRETS = {
    "SHARED_SECRET": {"orchestrator", "proxy"},
    "LLM_OPENAI_API_KEY": {"orchestrator"},
    # The database's URL has its password.
    "ORCHESTRATOR_STORE": {"orchestrator"},
    "LLM_LOCAL_API_KEY": {"orchestrator", "local-llm"},
    "STT_VOXTRAL_API_KEY": {"stt-service"},
    "STT_VOXTRAL_REALTIME_API_KEY": {"stt-service"},
    "ANCHOR_MODELS_HUB_TOKEN": {"models", "pull", "local-llm-model", "piper-voices"},
    "OTEL_EXPORTER_OTLP_HEADERS": TRACED,
}
SERVERS_ON_THE_GPU = {"stt-service", "tts-service", "ollama-gpu", "voxtral"}


def read_by(package: str) -> set[str]:
    """The variables that the settings classes of a package read."""
    return {
        name for cls in settings_classes() if cls.__module__.partition(".")[0] == package for name in all_names_of(cls)
    }


def devices(service: dict[str, Any]) -> list[dict[str, Any]]:
    return service.get("deploy", {}).get("resources", {}).get("reservations", {}).get("devices", [])


@pytest.fixture(scope="module")
def every() -> dict[str, Any]:
    """The services of all profiles, for a card with 48 GB."""
    return rendered(PLAN, COMPOSE_PROFILES="*")


@pytest.mark.parametrize("profile", ["embedded", "cpu", "gpu"])
def test_a_service_gets_the_settings_that_it_reads_and_no_others(profile: str) -> None:
    services = rendered(ANCHOR_PROFILE=profile, COMPOSE_PROFILES="*")
    for name, package in PACKAGES.items():
        given = set(services[name]["environment"]) - OF_LIBRARIES.get(name, set())
        expected = read_by(package)
        if name == "orchestrator":
            # Answers those that have no counterpart.
            expected |= all_names_of(FamiliarSettings)
        expected -= UNSET.get(name, set())
        assert given == expected, f"deploy/settings.yaml, {name}"


def seconds(duration: str) -> int:
    """A duration as `docker compose config` writes it: 45s, or 1m15s."""
    minutes, _, rest = duration.rpartition("m")
    return 60 * int(minutes or 0) + int(rest.removesuffix("s") or 0)


def test_a_container_has_the_time_that_its_service_takes_to_stop(every) -> None:
    longest_grace_s = 30
    drain_s = ServiceSettings.model_fields["drain_s"].default
    for name in PACKAGES.keys() - {"measure-stt", "measure-tts"}:
        needed_s = drain_s + (longest_grace_s if name == "orchestrator" else 0)
        assert seconds(every[name]["stop_grace_period"]) >= needed_s + 5, name
    with pytest.raises(ValidationError):
        OrchestratorSettings(turn_grace_s=longest_grace_s + 1)


def test_the_fetcher_of_models_gets_only_settings_that_it_reads(every) -> None:
    for name in ("models", "pull", "local-llm-model", "piper-voices", "voxtral-model"):
        assert set(every[name]["environment"]) <= read_by("anchor_cli")


def test_the_launcher_knows_every_secret_and_who_reads_it() -> None:
    programs = {program.module: program.name for program in mesh_programs(MeshSettings(llm="local"))}
    readers: dict[str, set[str]] = {}
    for cls in settings_classes():
        for field, info in cls.model_fields.items():
            if "SecretStr" in str(info.annotation):
                program = programs.get(cls.__module__.partition(".")[0])
                readers.setdefault(names_of(cls)[field], set()).update({program} if program else ())
    assert {name: set(SECRETS_OF_PROGRAMS[name]) for name in readers} == readers


def test_a_secret_reaches_only_the_services_that_need_it(tmp_path: Path) -> None:
    fields = {
        names_of(cls)[field]
        for cls in settings_classes()
        for field, info in cls.model_fields.items()
        if info.annotation in (SecretStr, SecretStr | None)
    }
    assert SECRETS.keys() == fields
    env = tmp_path / "secrets.env"
    env.write_text("".join(f"{name}=hush-{number}-hush\n" for number, name in enumerate(SECRETS)))
    for profile in ("embedded", "cpu", "gpu"):
        services = rendered(env, ANCHOR_PROFILE=profile, COMPOSE_PROFILES="*")
        for number, (name, wanted) in enumerate(SECRETS.items()):
            found = {service for service, config in services.items() if f"hush-{number}-hush" in json.dumps(config)}
            assert found == wanted, name


def test_a_secret_in_a_file_is_mounted_where_the_secret_would_be_set(tmp_path: Path) -> None:
    files = {f"{name}_FILE": f"/srv/secrets/{name}" for name in SECRETS}
    files["POSTGRESQL_PASSWORD_FILE"] = "/srv/secrets/postgresql"  # noqa: S105
    env = tmp_path / "files.env"
    env.write_text("".join(f"{name}={path}\n" for name, path in files.items()))
    # The proxy asks only whether there is a secret.
    readers = {**SECRETS, "SHARED_SECRET": {"orchestrator"}, "POSTGRESQL_PASSWORD": {"postgresql"}}
    for profile in ("embedded", "cpu", "gpu"):
        project = json.loads(compose_config(env, "--format=json", ANCHOR_PROFILE=profile, COMPOSE_PROFILES="*"))
        for name, path in files.items():
            secret = name.removesuffix("_FILE")
            assert project["secrets"][secret.lower()]["file"] == path
            mounted = {
                service
                for service, config in project["services"].items()
                if secret.lower() in {each["source"] for each in config.get("secrets") or ()}
            }
            assert mounted == readers[secret], secret
            for service in readers[secret]:
                environment = project["services"][service]["environment"]
                variable = "POSTGRES_PASSWORD_FILE" if service == "postgresql" else name
                assert environment[variable] == f"/run/secrets/{secret.lower()}"
                assert not environment.get(variable.removesuffix("_FILE")), secret


def test_without_files_of_secrets_no_container_looks_for_one() -> None:
    project = json.loads(compose_config(NO_FILE, "--format=json", COMPOSE_PROFILES="*"))
    for service in project["services"].values():
        environment = service.get("environment", {})
        assert not [name for name, value in environment.items() if name.endswith("_FILE") and value]
    (unused,) = {Path(secret["file"]) for secret in project["secrets"].values()}
    assert unused.read_bytes() == b""


@pytest.mark.parametrize(
    ("name", "value", "recreated"),
    [
        ("VAD_MAX_STREAMS", "7", {"vad-service"}),
        ("STT_MAX_STREAMS", "7", {"stt-service", "measure-stt"}),
        ("LLM_OLLAMA_TEMPERATURE", "1", {"orchestrator"}),
        ("TTS_MAX_STREAMS", "7", {"tts-service", "tts-fallback", "measure-tts"}),
        ("ANCHOR_GPU", "1", SERVERS_ON_THE_GPU | {"gpu-monitor"}),
        ("ANCHOR_LOG_LEVEL", "DEBUG", set(PACKAGES)),
        ("NOT_OURS", "1", set()),
    ],
)
def test_a_changed_setting_recreates_only_the_containers_that_read_it(
    tmp_path: Path, name: str, value: str, recreated: set[str]
) -> None:
    env = tmp_path / "changed.env"

    def hashes() -> dict[str, str]:
        lines = compose_config(env, "--hash=*", COMPOSE_PROFILES="*").splitlines()
        return dict(line.split() for line in lines)

    env.write_text("ANCHOR_PROFILE=gpu\n")
    before = hashes()
    env.write_text(f"ANCHOR_PROFILE=gpu\n{name}={value}\n")
    assert {service for service, digest in hashes().items() if digest != before[service]} == recreated


@pytest.mark.parametrize("card", ["0", "1", "GPU-8f5c4f3e-1b2d-4c6a-9e7f-0a1b2c3d4e5f"])
def test_all_servers_use_the_same_card_and_the_monitor_sees_that_one(card: str) -> None:
    services = rendered(PLAN, ANCHOR_GPU="" if card == "0" else card)
    wanted = {"driver": "nvidia", "device_ids": [card], "capabilities": ["gpu"]}
    assert {name: devices(service) for name, service in services.items() if devices(service)} == {
        name: [wanted] for name in SERVERS_ON_THE_GPU
    }
    assert services["gpu-monitor"]["environment"]["NVIDIA_VISIBLE_DEVICES"] == card


def test_every_container_has_a_memory_limit(every) -> None:
    assert [name for name, service in every.items() if not service.get("mem_limit")] == []
    changed = rendered(PLAN, OLLAMA_MEMORY_LIMIT="40g", VOXTRAL_MEMORY_LIMIT="30g")
    assert [int(changed[name]["mem_limit"]) >> 30 for name in ("ollama-gpu", "voxtral")] == [40, 30]


@pytest.mark.parametrize("profile", ["embedded", "cpu", "gpu"])
def test_docker_makes_no_folder_on_the_host(profile: str) -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    files = {PROJECT / line for line in tracked.splitlines()}
    shipped = files | {folder for file in files for folder in file.parents}
    for settings in ({}, {"STT_WHISPER_MODEL": "whisper-small"}):
        services = rendered(ANCHOR_PROFILE=profile, COMPOSE_PROFILES="*", **settings)
        for name, service in services.items():
            for mount in service.get("volumes", ()):
                if mount["type"] == "bind" and Path(mount["source"]) not in shipped:
                    assert not mount["bind"].get("create_host_path"), f"{name}: {mount['source']}"
                    assert mount["source"] == str(PROJECT / "models")
        needs = profile == "gpu" or (profile == "cpu" and bool(settings))
        sources = {mount["source"] for mount in services["stt-service"]["volumes"]}
        assert (str(PROJECT / "models") in sources) is needs


def test_the_voxtral_image_has_the_packages_that_decode_audio(every) -> None:
    build = every["voxtral"]["build"]
    dockerfile = (Path(build["context"]) / build["dockerfile"]).read_text("utf-8")
    (base,) = re.findall(r"^FROM vllm/vllm-openai:v([\d.]+)$", dockerfile, re.MULTILINE)
    assert f"RUN uv pip install --system 'vllm[audio]=={base}'\n" in dockerfile


def test_voxtral_loads_the_verified_folder_that_pull_filled(every) -> None:
    folder = "voxtral-mini-3b"
    server, verifier = every["voxtral"], every["voxtral-model"]
    assert server["command"][0] == f"/app/models/{folder}"
    assert verifier["command"] == ["pull", "--offline", folder]
    assert server["depends_on"]["voxtral-model"]["condition"] == "service_completed_successfully"
    for service in (server, verifier):
        (models,) = (mount for mount in service["volumes"] if mount["target"] == "/app/models")
        assert (models["source"], models["read_only"]) == (str(PROJECT / "models"), True)
        # Fetches nothing: this network has no route to the outside.
        assert list(service["networks"]) == ["mesh"]
    assert server["environment"]["HF_HUB_OFFLINE"] == "1"


def test_a_model_that_was_pulled_on_the_host_is_copied_and_not_downloaded(every) -> None:
    for name in ("models", "local-llm-model", "piper-voices"):
        (own,) = (mount for mount in every[name]["volumes"] if mount["target"] == "/app/own")
        assert (own["source"], own["read_only"]) == (str(PROJECT / "models"), True)
        assert every[name]["environment"]["ANCHOR_MODELS_OWN_DIR"] == "/app/own"
    elsewhere = rendered(PLAN, ANCHOR_MODELS_OWN_DIR="/srv/models", COMPOSE_PROFILES="*")
    (own,) = (mount for mount in elsewhere["piper-voices"]["volumes"] if mount["target"] == "/app/own")
    assert own["source"] == "/srv/models"


def test_the_folder_that_the_gpu_reads_can_be_filled_by_a_container(every) -> None:
    pull = every["pull"]
    assert (pull["entrypoint"], pull["command"]) == (["anchor", "pull"], [])
    (models,) = pull["volumes"]
    assert (models["source"], models["target"]) == (str(PROJECT / "models"), "/app/models")
    assert not models.get("read_only")
    (read,) = (mount for mount in every["tts-service"]["volumes"] if mount["target"] == "/app/models")
    assert read["source"] == models["source"]


def test_piper_serves_pulled_voices_and_reaches_nothing_outside(every) -> None:
    server, fetcher = every["piper"], every["piper-voices"]
    assert fetcher["command"] == ["pull", "piper"]
    assert server["depends_on"]["piper-voices"]["condition"] == "service_completed_successfully"
    for service, read_only in ((server, True), (fetcher, None)):
        (models,) = (mount for mount in service["volumes"] if mount["target"] == "/app/models")
        assert (models["source"], models.get("read_only")) == ("models", read_only)
    assert list(server["networks"]) == ["mesh"]
    dockerfile = (PROJECT / "deploy/piper/Dockerfile").read_text("utf-8")
    assert "WORKDIR /app/models/piper\n" in dockerfile


def test_vllm_keeps_what_it_compiled_and_reports_nothing(every) -> None:
    server = every["voxtral"]
    (cache,) = (mount for mount in server["volumes"] if mount["type"] == "volume")
    # vLLM's own cache and Triton's are below it.
    assert cache["target"] == "/root/.cache"
    assert server["environment"]["TRITON_CACHE_DIR"].startswith("/root/.cache/")
    assert server["environment"]["VLLM_NO_USAGE_STATS"] == "1"


def test_vllm_captures_graphs_that_voxtral_realtime_accepts(every) -> None:
    """Its attention over a sliding window cannot be captured with the rest of a mixed batch: no pure FULL."""
    (flag,) = (part for part in every["voxtral"]["command"] if part.startswith("--compilation-config="))
    assert json.loads(flag.partition("=")[2]) == {"cudagraph_mode": "FULL_AND_PIECEWISE"}


@pytest.mark.parametrize("name", ["ollama", "ollama-gpu"])
def test_ollama_keeps_sessions_apart_and_stays_local(every, name: str) -> None:
    major, minor = map(int, re.fullmatch(r"ollama/ollama:(\d+)\.(\d+)\.\d+", every[name]["image"]).groups())
    environment = every[name]["environment"]
    # 0.30 keeps the caches of sessions apart by itself.
    assert ("OLLAMA_MULTIUSER_CACHE" in environment) == ((major, minor) < (0, 30))
    assert environment.get("OLLAMA_MULTIUSER_CACHE", "1") == environment["OLLAMA_NO_CLOUD"] == "1"
    documented = (PROJECT / "docs/operations.md").read_text("utf-8")
    assert f"Ollama {every[name]['image'].partition(':')[2]}" in documented


def test_on_a_gpu_a_second_voice_on_the_cpu_stands_by() -> None:
    services = rendered(ANCHOR_PROFILE="gpu", COMPOSE_PROFILES="gpu")
    host, _, port = services["orchestrator"]["environment"]["TTS_FALLBACK_TARGET"].partition(":")
    fallback, main = services[host], services["tts-service"]
    assert fallback["environment"]["TTS_GRPC_PORT"] == port
    assert fallback["environment"]["ANCHOR_PROFILE"] == "embedded"
    assert fallback["environment"]["TTS_ENGINE"] == ""
    assert (fallback["build"]["target"], main["build"]["target"]) == ("cpu", "gpu")
    assert devices(fallback) == []
    assert set(fallback["networks"]) & set(services["orchestrator"]["networks"])
    own = rendered(ANCHOR_PROFILE="gpu", COMPOSE_PROFILES="gpu", TTS_FALLBACK_TARGET="elsewhere:9083")
    assert own["orchestrator"]["environment"]["TTS_FALLBACK_TARGET"] == "elsewhere:9083"


@pytest.mark.parametrize("profile", ["embedded", "cpu"])
def test_without_a_gpu_there_is_one_voice(profile: str) -> None:
    services = rendered(ANCHOR_PROFILE=profile, COMPOSE_PROFILES=profile)
    assert "tts-fallback" not in services
    assert not services["orchestrator"]["environment"]["TTS_FALLBACK_TARGET"]
