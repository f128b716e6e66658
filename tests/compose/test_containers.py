"""The mesh in containers: conversation, isolation, and recovery from faults."""

from __future__ import annotations

import asyncio
import json
import re

import httpx
import pytest
from anchor_cli.client.audio_files import load_clip
from anchor_cli.client.session_client import SessionClient, open_session
from anchor_cli.client.turn import run_turn
from anchor_cli.mesh.self_test import compare_words
from compose_support import (
    MEASUREMENTS,
    MODELS,
    NAME,
    PROJECT,
    SERVICES,
    Containers,
    Question,
    docker,
    parse_time,
)
from service_kit.errors import PeerFailed

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

DEPENDENCIES = ("vad-service", "stt-service", "tts-service")
# Of an image, without models.
MAX_IMAGE_BYTES = 1_500_000_000


async def ready(containers: Containers, service: str) -> bool:
    async with httpx.AsyncClient(timeout=1) as http:
        try:
            return (await http.get(f"http://127.0.0.1:{containers.ports[service]}/ready")).status_code == 200
        except httpx.HTTPError:
            return False


async def ask_until_answered(talk: SessionClient, clip: bytes, question: Question, within_s: float) -> str:
    """Ask in the same session until the answer is right, or the time is over; return the last reply."""
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + within_s
    while True:
        try:
            reply = (await run_turn(talk, clip, listen_s=0.3)).reply.text
        except PeerFailed as error:
            if error.code == "talk.session_ended" or loop.time() > deadline_s:
                raise
        else:
            if question.is_answered_by(reply) or loop.time() > deadline_s:
                return reply


def test_the_orchestrator_starts_after_its_dependencies_are_healthy(containers) -> None:
    started = parse_time(containers.states["orchestrator"]["StartedAt"])
    for service in DEPENDENCIES:
        checks = containers.states[service]["Health"]["Log"]
        first_healthy = min(parse_time(check["End"]) for check in checks if check["ExitCode"] == 0)
        assert first_healthy < started, service


def test_services_start_after_their_models_are_complete(containers) -> None:
    fetched = containers.states[MODELS]
    assert (fetched["Status"], fetched["ExitCode"]) == ("exited", 0)
    for service in DEPENDENCIES:
        assert parse_time(fetched["FinishedAt"]) < parse_time(containers.states[service]["StartedAt"]), service
        mounts = {mount["Destination"]: mount for mount in containers.inspect(service)["Mounts"]}
        assert mounts["/app/models"]["Name"] == f"{NAME}_models"
        assert not mounts["/app/models"]["RW"]


def test_the_first_start_measures_the_engines(containers) -> None:
    for name in MEASUREMENTS:
        measured = containers.states[name]
        assert (measured["Status"], measured["ExitCode"]) == ("exited", 0)
        for service in ("stt-service", "tts-service"):
            assert parse_time(measured["FinishedAt"]) < parse_time(containers.states[service]["StartedAt"])
    profile = json.loads(containers.python("tts-service", "print(open('/app/models/machine.json').read())"))
    assert {"whisper-base", "espeak", "hibari"} <= set(profile["engines"])
    assert all(speed["first_result_s"] > 0 for speed in profile["engines"].values())


def test_a_later_start_measures_nothing(containers) -> None:
    for name in MEASUREMENTS:
        docker("start", "--attach", containers.container(name))
        assert "nothing to measure" in docker("logs", "--tail", "1", containers.container(name))


def test_a_later_start_needs_no_network_for_the_models() -> None:
    output = docker("run", "--rm", "--network=none", f"--volume={NAME}_models:/app/models", "ai-anchor/models:local")
    (complete,) = [line for line in output.splitlines() if line.startswith("models of the set default:")]
    assert {"silero", "smart-turn", "whisper-base", "moonshine-tiny-en"} <= set(re.split("[ ,]+", complete))
    assert "left out" not in output


@pytest.mark.parametrize("image", [*SERVICES, MODELS])
def test_an_image_is_small(containers, image: str) -> None:
    name = containers.inspect(image)["Image"]
    assert int(docker("image", "inspect", "--format", "{{.Size}}", name)) < MAX_IMAGE_BYTES


async def test_the_default_engines_serve(containers) -> None:
    async with httpx.AsyncClient(timeout=5) as http:
        health = {
            service: (await http.get(f"http://127.0.0.1:{port}/health")).json()
            for service, port in containers.ports.items()
        }
    assert health["stt-service"]["engine"] == "whisper"
    assert "hibari" in health["tts-service"]["engine"]
    assert {service: report["degraded"] for service, report in health.items() if report.get("degraded")} == {}


@pytest.mark.parametrize(
    ("profiles", "added"),
    [
        ("embedded", set()),
        ("cpu", {"ollama"}),
        ("gpu,proxy", {"ollama-gpu", "tts-fallback", "proxy"}),
        ("embedded,monitoring", {"prometheus", "grafana"}),
        ("embedded,tracing", {"jaeger"}),
        ("gpu,voxtral", {"ollama-gpu", "tts-fallback", "voxtral-model", "voxtral"}),
        ("embedded,local-llm", {"local-llm", "local-llm-model"}),
    ],
)
def test_profiles_choose_the_additional_services(
    containers, monkeypatch: pytest.MonkeyPatch, profiles: str, added: set[str]
) -> None:
    monkeypatch.setenv("COMPOSE_PROFILES", profiles)
    listed = docker("compose", "--project-directory", str(PROJECT), "config", "--services").split()
    assert set(listed) == {MODELS, *MEASUREMENTS, *SERVICES, *added}


async def test_a_spoken_question_is_answered_aloud(containers, question) -> None:
    async with open_session(containers.url) as talk:
        turn = await run_turn(talk, load_clip(question.path))
    assert "every word recognised" in compare_words(question.text, turn.transcript).plain
    assert question.is_answered_by(turn.reply.text)
    assert turn.reply.received_ms > 1000
    assert turn.finished.heard_text.split() == turn.reply.text.split()
    assert turn.response_ms < 10_000


def test_ports_are_published_on_loopback_only(containers) -> None:
    published = {
        service: {
            (port, binding["HostIp"])
            for port, bindings in containers.inspect(service)["NetworkSettings"]["Ports"].items()
            for binding in bindings or ()
        }
        for service in SERVICES
    }
    loopback = "127.0.0.1"
    assert published == {
        "orchestrator": {("8080/tcp", loopback), ("9080/tcp", loopback)},
        "stt-service": {("8001/tcp", loopback)},
        "vad-service": {("8002/tcp", loopback)},
        "tts-service": {("8003/tcp", loopback)},
        "gpu-monitor": {("8004/tcp", loopback)},
    }


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_has_no_privileges_and_writes_only_to_tmp(containers, service: str) -> None:
    host = containers.inspect(service)["HostConfig"]
    assert host["Memory"] > 0
    assert host["PidsLimit"] > 0
    found = containers.python(
        service,
        "import os, pathlib\n"
        "def writable(folder):\n"
        "    try: pathlib.Path(folder, 'probe').write_text(''); return True\n"
        "    except OSError: return False\n"
        "status = pathlib.Path('/proc/self/status').read_text()\n"
        "field = lambda name: status.partition(name + ':')[2].split()[0]\n"
        "print(os.getuid(), field('CapBnd'), field('NoNewPrivs'),"
        " [f for f in ('/', '/app', '/app/content', '/opt/anchor', '/etc', '/tmp') if writable(f)])",
    )
    assert found == "10001 0000000000000000 1 ['/tmp']"


def test_the_service_networks_have_no_way_out(containers) -> None:
    assert docker("network", "inspect", "-f", "{{.Internal}}", f"{NAME}_mesh") == "true"
    for service in DEPENDENCIES:
        networks = set(containers.inspect(service)["NetworkSettings"]["Networks"])
        # The other network is for the health port and has no way out.
        assert networks == {f"{NAME}_mesh", f"{NAME}_health"}
    options = '{{index .Options "com.docker.network.bridge.enable_ip_masquerade"}}'
    assert docker("network", "inspect", "-f", options, f"{NAME}_health") == "false"


@pytest.mark.parametrize("service", DEPENDENCIES)
async def test_a_session_survives_a_crashed_service(containers, question, service: str) -> None:
    clip = load_clip(question.path)
    before = containers.inspect(service)
    async with open_session(containers.url) as talk:
        await run_turn(talk, clip, listen_s=0.2)
        containers.crash(service)
        async with asyncio.timeout(180):
            while containers.inspect(service)["RestartCount"] == before["RestartCount"]:
                await asyncio.sleep(0.2)
            while not await ready(containers, service):
                await asyncio.sleep(0.2)
        reply = await ask_until_answered(talk, clip, question, within_s=60)
    assert question.is_answered_by(reply)
    assert containers.inspect(service)["State"]["StartedAt"] != before["State"]["StartedAt"]


async def test_a_session_survives_a_network_partition_and_is_notified(containers, question) -> None:
    clip = load_clip(question.path)
    cut_off = containers.container("stt-service")
    async with open_session(containers.url) as talk:
        await run_turn(talk, clip, listen_s=0.2)
        docker("network", "disconnect", f"{NAME}_mesh", cut_off)
        try:
            since = len(talk.events)
            await talk.play_clip(clip)
            message = await talk.wait_until(
                lambda events: next((e for e in events[since:] if e.name in {"service_notice", "turn_failed"}), None),
                within_s=60,
                description="service_notice or turn_failed",
            )
        finally:
            docker("network", "connect", "--alias", "stt-service", f"{NAME}_mesh", cut_off)
        assert message.message.code.startswith("stt.")
        reply = await ask_until_answered(talk, clip, question, within_s=60)
    assert question.is_answered_by(reply)


def test_every_service_is_healthy_after_the_faults(containers) -> None:
    assert [service for service in SERVICES if not containers.is_healthy(service)] == []
