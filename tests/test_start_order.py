"""The start order of the mesh: on one GPU, TTS, then language model, then recogniser."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from anchor_cli.mesh.programs import mesh_programs
from anchor_cli.settings import MeshSettings

ROOT = Path(__file__).parents[1]


def services() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))["services"]


def waits_for(started: dict[str, Any], name: str) -> dict[str, Any]:
    """The services that a service waits for, with the condition."""
    return started[name].get("depends_on", {})


def start_order(started: dict[str, Any]) -> list[str]:
    """The services in start order. Fails on a circle."""
    order: list[str] = []
    left = dict(started)
    while left:
        free = [name for name in left if not set(waits_for(started, name)) & set(left)]
        assert free, f"these wait for each other: {sorted(left)}"
        order += sorted(free)
        for name in free:
            del left[name]
    return order


def test_gpu_servers_start_one_after_another() -> None:
    started = services()
    assert waits_for(started, "ollama-gpu")["tts-service"]["condition"] == "service_healthy"
    model = waits_for(started, "voxtral")["ollama-gpu"]
    # The recogniser's server also runs without that of the language model.
    assert model == {"condition": "service_healthy", "required": False}


def test_the_start_order_has_no_circle() -> None:
    order = start_order(services())
    assert order.index("tts-service") < order.index("ollama-gpu") < order.index("voxtral")
    assert order.index("orchestrator") > order.index("tts-service")


def test_the_machine_is_measured_before_the_services_choose_by_it() -> None:
    """One after the other, so that neither measures the other's work, and in images that the services build."""
    started = services()
    measuring = {name: started[f"measure-{name}"] for name in ("stt", "tts")}
    ended = {"condition": "service_completed_successfully"}
    assert measuring["stt"]["depends_on"] == {"models": ended}
    assert measuring["tts"]["depends_on"] == {"measure-stt": ended}
    for name, service in measuring.items():
        chooser = started[f"{name}-service"]
        assert chooser["depends_on"] == {"measure-tts": ended}
        assert service["image"] == chooser["image"]
        assert service["command"] == ["python", "-m", "service_kit.engines.measurement", f"{name}_service.measure"]
        assert service["environment"]["ANCHOR_MACHINE_PROFILE"] == chooser["environment"]["ANCHOR_MACHINE_PROFILE"]
        # It only reads models and writes its profile beside them.
        assert (service["network_mode"], service["restart"]) == ("none", "no")
        assert service["volumes"] == ["models:/app/models"]


def test_without_a_gpu_the_language_model_starts_at_once() -> None:
    assert waits_for(services(), "ollama") == {}


def test_mesh_services_do_not_wait_for_a_language_model() -> None:
    started = services()
    ours = [name for name, service in started.items() if service["image"].startswith("ai-anchor/")]
    assert len(ours) >= 5
    for name in ours:
        assert not {"ollama", "ollama-gpu", "voxtral"} & set(waits_for(started, name))


def _has_compose() -> bool:
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not _has_compose(), reason="docker compose is not installed")
@pytest.mark.parametrize("profiles", [("gpu",), ("gpu", "voxtral"), ("voxtral",), ("cpu",), ()])
def test_compose_accepts_every_combination_of_profiles(profiles: tuple[str, ...]) -> None:
    chosen = [argument for profile in profiles for argument in ("--profile", profile)]
    done = subprocess.run(
        ["docker", "compose", "-f", str(ROOT / "compose.yaml"), *chosen, "config", "--format", "json"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    start_order(json.loads(done.stdout)["services"])


@pytest.mark.parametrize(("profile", "first"), [("gpu", "tts"), ("embedded", "stt")])
def test_without_containers_the_tts_starts_first_on_a_gpu(profile: str, first: str) -> None:
    members = sorted(mesh_programs(MeshSettings(profile=profile)), key=lambda program: program.priority)
    assert members[0].name == first
    assert members[-1].name == "orchestrator"
