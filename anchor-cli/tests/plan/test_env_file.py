"""Settings of a plan, merged into .env files and read by Compose and the services."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from anchor_cli.plan.catalogue import read_catalogue
from anchor_cli.plan.command import write_plan
from anchor_cli.plan.env_file import (
    gpu_share,
    merge_env,
    plan_settings,
    render_profile,
    runs_voxtral,
    write_env,
)
from anchor_cli.plan.ladder import Planner
from anchor_cli.plan.overrides import build_planner
from dotenv import dotenv_values
from gpu_monitor.memory.plan import read_plan
from stt_service.app import build_engine
from stt_service.settings import SttSettings
from tts_service.engines import ENGINES
from tts_service.routing.routes import build_plan
from tts_service.settings import TtsSettings

ROOT = Path(__file__).parents[3]
CATALOGUE = read_catalogue()


def test_every_written_setting_is_in_env_example(planner: Planner) -> None:
    known = dotenv_names((ROOT / ".env.example").read_text("utf-8"))
    for card in CATALOGUE.cards.values():
        assert plan_settings(planner.plan(card), planner.models).keys() <= known


def dotenv_names(text: str) -> set[str]:
    return {line.lstrip("#").partition("=")[0] for line in text.splitlines() if "=" in line}


def test_settings_match_the_plan(planner: Planner) -> None:
    plan = planner.plan(CATALOGUE.card("rtx4090"))
    settings = plan_settings(plan, planner.models)
    assert settings["OLLAMA_MODEL_NAME"].endswith(":IQ4_XS")
    assert settings["LLM_OLLAMA_CONTEXT_TOKENS"] == "8192"
    assert settings["OLLAMA_NUM_PARALLEL"] == "1"
    assert settings["OLLAMA_KV_CACHE_TYPE"] == "f16"
    # Two utterances of 2048 tokens at 120 KiB.
    assert settings["VOXTRAL_KV_CACHE_MEMORY_BYTES"] == "480M"
    assert settings["VOXTRAL_QUANTIZATION"] == "fp8"
    assert (settings["STT_ENGINE"], settings["STT_VOXTRAL_PLACES"]) == ("voxtral", "2")


def test_higgs_slots_and_context_match_the_plan(planner: Planner) -> None:
    settings = plan_settings(planner.plan(CATALOGUE.card("l40s")), planner.models)
    assert (settings["TTS_HIGGS_SLOTS"], settings["TTS_HIGGS_CONTEXT_TOKENS"]) == ("4", "1536")


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        (
            "stt=voxtral-4b-realtime",
            {
                "STT_ENGINE": "voxtral-realtime",
                "STT_VOXTRAL_REALTIME_URL": "http://voxtral:8000/v1",
                "STT_VOXTRAL_REALTIME_MODEL": "voxtral",
                "STT_MAX_STREAMS": "4",
                "VOXTRAL_MAX_NUM_SEQS": "4",
                "VOXTRAL_MODEL_PATH": "voxtral-mini-4b-realtime",
                "GPU_VLLM_URL": "http://voxtral:8000/v1",
            },
        ),
        (
            "stt=whisper-turbo@f16",
            {
                "STT_ENGINE": "",
                "STT_WHISPER_DEVICE": "cuda",
                "STT_WHISPER_COMPUTE_TYPE": "float16",
                "GPU_VLLM_URL": "",
            },
        ),
        ("stt=pocketsphinx", {"STT_ENGINE": "pocketsphinx", "GPU_VLLM_URL": ""}),
        ("tts=higgs-v2@int8", {"TTS_ENGINE": "", "TTS_FALLBACK_ENGINES": "", "TTS_HIGGS_WEIGHTS": "int8"}),
        ("tts=pocket-tts", {"TTS_ENGINE": "pocket-tts", "TTS_FALLBACK_ENGINES": '["espeak"]'}),
        ("tts=espeak", {"TTS_ENGINE": "espeak", "TTS_FALLBACK_ENGINES": ""}),
    ],
)
def test_overridden_engine_is_set(override: str, expected: dict[str, str]) -> None:
    planner = build_planner(CATALOGUE, [override], None)
    settings = plan_settings(planner.plan(CATALOGUE.card("rtx6000-ada")), planner.models)
    assert expected.items() <= settings.items()


def test_services_accept_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for override in (
        "stt=voxtral-4b-realtime",
        "stt=whisper-turbo",
        "tts=pocket-tts",
        "tts=higgs-v2@fp8",
        "tts=espeak",
    ):
        planner = build_planner(CATALOGUE, [override], None)
        plan = planner.plan(CATALOGUE.card("rtx6000-ada"))
        with monkeypatch.context() as environment:
            for name, value in plan_settings(plan, planner.models).items():
                environment.setenv(name, value)
            hearing = build_engine(SttSettings()).info.name
            speaking = build_plan(TtsSettings(), ENGINES)
        assert hearing == planner.models[plan.service("stt").choice.model].engine
        assert speaking.main == planner.models[plan.service("tts").choice.model].engine
        assert speaking.engines[-1] == "espeak"


def test_gpu_share_covers_vllm_and_leaves_room_for_others(planner: Planner) -> None:
    for card in CATALOGUE.cards.values():
        plan = planner.plan(card)
        stt = plan.service("stt")
        share_bytes = gpu_share(stt, plan) * card.total_bytes
        assert share_bytes >= stt.total_bytes
        others = plan.total_bytes - stt.total_bytes + card.driver_gib * 2**30
        assert share_bytes <= card.total_bytes - others


@pytest.mark.parametrize("name", CATALOGUE.cards)
def test_shipped_profiles_match_the_planner(planner: Planner, name: str) -> None:
    shipped = (ROOT / "deploy" / "profiles" / f"{name}.env").read_text("utf-8")
    assert shipped == render_profile(planner.plan(CATALOGUE.card(name)), planner.models), (
        f"anchor plan --gpu {name} --env"
    )


def test_merge_replaces_own_lines_in_place() -> None:
    before = "SHARED_SECRET=abc\n# a comment\nexport OLLAMA_NUM_PARALLEL=9\n\nOLLAMA_NUM_PARALLEL=8\nX=1\n"
    after = merge_env(before, {"OLLAMA_NUM_PARALLEL": "2", "OLLAMA_KV_CACHE_TYPE": "f16"}, "voxtral", enabled=True)
    assert after.startswith("SHARED_SECRET=abc\n# a comment\nOLLAMA_NUM_PARALLEL=2\n\nX=1\n")
    assert "OLLAMA_KV_CACHE_TYPE=f16\n" in after
    assert after.count("OLLAMA_NUM_PARALLEL") == 1


def test_merge_is_idempotent() -> None:
    once = merge_env("", {"A": "1"}, "voxtral", enabled=True)
    assert merge_env(once, {"A": "1"}, "voxtral", enabled=True) == once


@pytest.mark.parametrize(
    ("before", "wanted", "after"),
    [
        ("", True, "${ANCHOR_PROFILE},voxtral"),
        ("", False, "${ANCHOR_PROFILE}"),
        ("COMPOSE_PROFILES=${ANCHOR_PROFILE},proxy\n", True, "${ANCHOR_PROFILE},proxy,voxtral"),
        ('COMPOSE_PROFILES="${ANCHOR_PROFILE},voxtral,proxy"\n', False, "${ANCHOR_PROFILE},proxy"),
        ("COMPOSE_PROFILES=\n", False, ""),
    ],
)
def test_other_compose_profiles_are_preserved(before: str, wanted: bool, after: str) -> None:
    lines = merge_env(before, {}, "voxtral", enabled=wanted).splitlines()
    assert [line for line in lines if line.startswith("COMPOSE_PROFILES")] == [f"COMPOSE_PROFILES={after}"]


def test_smaller_plan_removes_voxtral_settings(planner: Planner) -> None:
    def written(text: str, card: str) -> str:
        plan = planner.plan(CATALOGUE.card(card))
        return merge_env(text, plan_settings(plan, planner.models), "voxtral", runs_voxtral(plan, planner.models))

    after = written(written("", "l40s"), "t4").splitlines()
    assert {"STT_ENGINE=", "GPU_VLLM_URL=", "COMPOSE_PROFILES=${ANCHOR_PROFILE}"} <= set(after)
    assert {"TTS_ENGINE=pocket-tts", 'TTS_FALLBACK_ENGINES=["espeak"]'} <= set(after)


def test_new_env_has_mode_0600_and_existing_one_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    write_env(path, "A=1\n")
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)
    write_env(path, "A=2\n")
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("A=2\n", 0o640)
    assert list(tmp_path.iterdir()) == [path]


def test_gpu_monitor_reads_the_written_plan(planner: Planner, tmp_path: Path) -> None:
    plan = planner.plan(CATALOGUE.card("l40s"))
    write_plan(tmp_path / ".env", plan, planner)
    written = dotenv_values(tmp_path / ".env", interpolate=False)
    read = read_plan(tmp_path / str(written["GPU_PLAN_PATH"]))
    assert sum(service.total_bytes for service in read.services) == plan.total_bytes
    assert [service.service for service in read.services] == ["stt-service", "tts-service", "ollama"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with Compose's files; skips without a docker command with Compose."""
    docker = shutil.which("docker")
    version = subprocess.run([docker, "compose", "version"], capture_output=True, check=False) if docker else None
    if version is None or version.returncode:
        pytest.skip("needs the docker command with Compose")
    shutil.copy(ROOT / "compose.yaml", tmp_path)
    shutil.copytree(ROOT / "deploy", tmp_path / "deploy")
    return tmp_path


@pytest.mark.parametrize("name", CATALOGUE.cards)
def test_compose_configuration_matches_the_plan(planner: Planner, project: Path, name: str) -> None:
    plan = planner.plan(CATALOGUE.card(name))
    write_plan(project / ".env", plan, planner)
    command = ["docker", "compose", "--project-directory", str(project), "config", "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=project)
    assert done.returncode == 0, done.stderr
    services = json.loads(done.stdout)["services"]
    llm, stt = plan.service("llm").choice, plan.service("stt").choice
    ollama = services["ollama-gpu"]["environment"]
    assert ollama["OLLAMA_MODEL_NAME"].endswith(f":{llm.weights}")
    assert ollama["OLLAMA_CONTEXT_LENGTH"] == str(llm.context_tokens)
    assert (ollama["OLLAMA_NUM_PARALLEL"], ollama["OLLAMA_KV_CACHE_TYPE"]) == (str(llm.slots), llm.cache)
    assert services["orchestrator"]["environment"]["LLM_OLLAMA_CONTEXT_TOKENS"] == str(llm.context_tokens)
    assert services["gpu-monitor"]["environment"]["GPU_PLAN_PATH"] == "deploy/profiles/planned.json"
    if planner.models[stt.model].runtime != "vllm":
        assert "voxtral" not in services
        return
    assert services["stt-service"]["environment"]["STT_ENGINE"] == "voxtral"
    assert services["gpu-monitor"]["environment"]["GPU_VLLM_URL"] == "http://voxtral:8000/v1"
    flags = dict(flag.partition("=")[::2] for flag in services["voxtral"]["command"] if flag.startswith("--"))
    assert flags["--gpu-memory-utilization"] == f"{gpu_share(plan.service('stt'), plan):.2f}"
    assert flags["--max-model-len"] == str(stt.context_tokens)
    assert flags["--max-num-seqs"] == str(stt.slots)
    assert flags["--kv-cache-memory-bytes"] == f"{plan.service('stt').kv_cache.bytes // 2**20}M"
    assert flags["--quantization"] == ("fp8" if stt.weights == "fp8" else "None")
    assert flags["--compilation-config"] == '{"cudagraph_mode":"FULL_AND_PIECEWISE"}'
    # Needed for parking; these routes must stay inside the container network.
    assert "--enable-sleep-mode" in flags
    assert services["voxtral"]["environment"]["VLLM_SERVER_DEV_MODE"] == "1"
    assert "ports" not in services["voxtral"]
