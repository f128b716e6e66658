"""The start order of the mesh: on one GPU, TTS, then language model, then recogniser; and the time each may take."""

from __future__ import annotations

import re
from itertools import chain, combinations
from pathlib import Path
from typing import Any

import pytest
import yaml
from anchor_cli.mesh.programs import mesh_programs
from anchor_cli.settings import MeshSettings
from compose_config import rendered

ROOT = Path(__file__).parents[1]
PLAN = ROOT / "deploy/profiles/rtx6000-ada.env"
# What a first clip at a server that has just started may take.
FIRST_CLIP_S = 60.0
# stt-service is not ready before the server that its engine uses has transcribed a clip, and waits so long for it.
STT_SERVERS = {
    "voxtral": ("STT_VOXTRAL_URL", "STT_VOXTRAL_START_S"),
    "voxtral-realtime": ("STT_VOXTRAL_REALTIME_URL", "STT_VOXTRAL_REALTIME_START_S"),
}


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


def profiles_of_compose() -> list[str]:
    """The profiles that are not a choice of ANCHOR_PROFILE."""
    named = {profile for service in services().values() for profile in service.get("profiles", ())}
    return sorted(named - {"cpu", "gpu"})


def combinations_of(profiles: list[str]) -> list[tuple[str, ...]]:
    return list(chain.from_iterable(combinations(profiles, size) for size in range(len(profiles) + 1)))


def active(every: dict[str, Any], profiles: set[str]) -> dict[str, Any]:
    """The services that Compose starts with these profiles, out of those of all profiles."""
    started = {name: s for name, s in every.items() if not s.get("profiles") or set(s["profiles"]) & profiles}
    for name, service in started.items():
        waited = service.get("depends_on", {})
        missing = {other for other, how in waited.items() if other not in started and how["required"]}
        assert not missing, f"{name} requires {missing}, which {sorted(profiles)} does not start"
        started[name] = service | {"depends_on": {k: v for k, v in waited.items() if k in started}}
    return started


def seconds(duration: str) -> float:
    """Parse a duration of Compose, such as 1h30m0s."""
    parts = re.findall(r"([\d.]+)(h|ms|m|s)", duration)
    assert "".join(number + unit for number, unit in parts) == duration
    return sum(float(number) * {"h": 3600, "m": 60, "s": 1, "ms": 0.001}[unit] for number, unit in parts)


def starts_at_s(started: dict[str, Any], name: str) -> float:
    """The latest time at which Compose starts it, after `up`; Compose waits without a limit for what ends."""
    times = [0.0]
    for other, how in waits_for(started, name).items():
        at_s = starts_at_s(started, other)
        times.append(at_s + start_period_s(started[other]) if how["condition"] == "service_healthy" else at_s)
    return max(times)


def start_period_s(service: dict[str, Any]) -> float:
    """How long it may fail its check before it counts as unhealthy, which ends the start of all that wait for it."""
    assert "healthcheck" in service, "waited for until it is healthy, but has no health check"
    return seconds(service["healthcheck"]["start_period"])


def leans_on(started: dict[str, Any], name: str) -> tuple[str, float] | None:
    """The server without which a service does not become ready, and how long the service waits for it, in seconds."""
    environment = started[name].get("environment", {})
    url, wait = STT_SERVERS.get(environment.get("STT_ENGINE", ""), ("", ""))
    host = re.sub(r"^https?://([^:/]+).*$", r"\1", environment.get(url) or "") if name == "stt-service" else ""
    return (host, float(environment.get(wait) or 900)) if host in started else None


def assert_start_periods_suffice(started: dict[str, Any]) -> None:
    waited_for = {
        other
        for name in started
        for other, how in waits_for(started, name).items()
        if how["condition"] == "service_healthy"
    }
    for name in waited_for:
        begins_s, period_s = starts_at_s(started, name), start_period_s(started[name])
        assert period_s >= 60, f"{name}: {period_s} s are too short for any start"
        if server := leans_on(started, name):
            host, patience_s = server
            usable_s = starts_at_s(started, host) + start_period_s(started[host]) + FIRST_CLIP_S
            assert begins_s + period_s >= usable_s, f"{name} is unhealthy before {host} can serve it"
            assert begins_s + patience_s >= usable_s, f"{name} ends before {host} can serve it"


@pytest.mark.parametrize("profile", ["embedded", "cpu", "gpu"])
def test_start_periods_cover_what_a_service_waits_for(profile: str) -> None:
    """With every combination of profiles, and the recogniser that waits longest."""
    engines = {"": "", "voxtral": "STT_VOXTRAL_URL", "voxtral-realtime": "STT_VOXTRAL_REALTIME_URL"}
    for engine, url in engines.items():
        settings = {"ANCHOR_PROFILE": profile, "COMPOSE_PROFILES": "*", "STT_ENGINE": engine}
        every = rendered(**settings, **({url: "http://voxtral:8000/v1"} if url else {}))
        for others in combinations_of(profiles_of_compose()):
            started = active(every, {profile, *others})
            assert_start_periods_suffice(started)
            start_order(started)


def test_without_the_order_stt_would_be_unhealthy_too_early() -> None:
    every = rendered(PLAN)
    assert_start_periods_suffice(every)
    assert leans_on(every, "stt-service") == ("voxtral", 900)
    del every["stt-service"]["depends_on"]["voxtral"]
    with pytest.raises(AssertionError, match="stt-service is unhealthy before voxtral"):
        assert_start_periods_suffice(every)
    # As long as the servers on the way to it: text to speech, language model and the recogniser's own.
    chain_s = sum(start_period_s(every[name]) for name in ("tts-service", "ollama-gpu", "voxtral"))
    every["stt-service"]["healthcheck"]["start_period"] = f"{chain_s + FIRST_CLIP_S:g}s"
    with pytest.raises(AssertionError, match="stt-service ends before voxtral"):
        assert_start_periods_suffice(every)


def test_the_services_of_a_combination_are_those_that_compose_starts() -> None:
    for profiles in ("gpu,voxtral", "cpu,proxy,local-llm", "embedded"):
        profile = profiles.partition(",")[0]
        every = rendered(ANCHOR_PROFILE=profile, COMPOSE_PROFILES="*")
        chosen = set(profiles.split(","))
        real = rendered(ANCHOR_PROFILE=profile, COMPOSE_PROFILES=profiles)
        assert active(every, chosen) == active(real, chosen)


def test_gpu_servers_start_one_after_another() -> None:
    started = services()
    assert waits_for(started, "ollama-gpu")["tts-service"]["condition"] == "service_healthy"
    model = waits_for(started, "voxtral")["ollama-gpu"]
    # The recogniser's server also runs without that of the language model.
    assert model == {"condition": "service_healthy", "required": False}


def test_the_start_order_has_no_circle() -> None:
    order = start_order(services())
    assert order.index("tts-service") < order.index("ollama-gpu") < order.index("voxtral")
    assert order.index("voxtral") < order.index("stt-service") < order.index("orchestrator")


def test_the_machine_is_measured_before_the_services_choose_by_it() -> None:
    """One after the other, so that neither measures the other's work, and in images that the services build."""
    started = services()
    measuring = {name: started[f"measure-{name}"] for name in ("stt", "tts")}
    ended = {"condition": "service_completed_successfully"}
    assert measuring["stt"]["depends_on"] == {"models": ended}
    assert measuring["tts"]["depends_on"] == {"measure-stt": ended}
    for name, service in measuring.items():
        chooser = started[f"{name}-service"]
        assert chooser["depends_on"]["measure-tts"] == ended
        assert service["image"] == chooser["image"]
        assert service["command"] == ["python", "-m", "service_kit.engines.measurement", f"{name}_service.measure"]
        assert service["environment"]["ANCHOR_MACHINE_PROFILE"] == chooser["environment"]["ANCHOR_MACHINE_PROFILE"]
        # It only reads models and writes its profile beside them.
        assert (service["network_mode"], service["restart"]) == ("none", "no")
        assert service["volumes"] == ["models:/app/models"]


def test_without_a_gpu_the_language_model_starts_at_once() -> None:
    assert waits_for(services(), "ollama") == {}


def test_only_voxtral_makes_the_mesh_wait_for_the_language_model() -> None:
    for profiles, waits in (("cpu", False), ("gpu", False), ("gpu,voxtral", True)):
        profile = profiles.partition(",")[0]
        started = active(rendered(ANCHOR_PROFILE=profile, COMPOSE_PROFILES="*"), set(profiles.split(",")))
        before: set[str] = set()
        left = ["orchestrator"]
        while left:
            new = set(waits_for(started, left.pop())) - before
            before |= new
            left += new
        assert {"vad-service", "stt-service", "tts-service"} <= before
        assert bool({"ollama", "ollama-gpu"} & before) is waits


@pytest.mark.parametrize(("profile", "first"), [("gpu", "tts"), ("embedded", "stt")])
def test_without_containers_the_tts_starts_first_on_a_gpu(profile: str, first: str) -> None:
    members = sorted(mesh_programs(MeshSettings(profile=profile)), key=lambda program: program.priority)
    assert members[0].name == first
    assert members[-1].name == "orchestrator"
