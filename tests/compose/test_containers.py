"""The mesh in containers talks, keeps to itself, and comes back from what happens to its parts."""

from __future__ import annotations

import asyncio
from datetime import datetime

import httpx
import pytest
from anchor_cli.client.audio_files import load_clip
from anchor_cli.client.session_client import SessionClient, open_session
from anchor_cli.client.turn import run_turn
from compose_support import NAME, PROJECT, SERVICES, Containers, Question, docker
from service_kit.errors import PeerFailed

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

LEANED_ON = ("vad-service", "stt-service", "tts-service")


def moment(text: str) -> datetime:
    """A time of Docker's, which counts nanoseconds."""
    head, _, zone = text.partition(".")
    return datetime.fromisoformat(f"{head}.{zone[:6].rstrip('Z').ljust(6, '0')}+00:00")


async def ready(containers: Containers, service: str) -> bool:
    async with httpx.AsyncClient(timeout=1) as http:
        try:
            return (await http.get(f"http://127.0.0.1:{containers.ports[service]}/ready")).status_code == 200
        except httpx.HTTPError:
            return False


async def asked_again(talk: SessionClient, clip: bytes, question: Question, within_s: float) -> str:
    """The reply to the first asking that is answered well: a mesh that heals needs a moment, but the session stays."""
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


def test_the_orchestrator_starts_when_those_it_leans_on_are_healthy(containers) -> None:
    started = moment(containers.states["orchestrator"]["StartedAt"])
    for service in LEANED_ON:
        checks = containers.states[service]["Health"]["Log"]
        first_healthy = min(moment(check["End"]) for check in checks if check["ExitCode"] == 0)
        assert first_healthy < started, service


@pytest.mark.parametrize(
    ("profiles", "added"),
    [
        ("embedded", set()),
        ("cpu", {"ollama"}),
        ("gpu,proxy", {"ollama-gpu", "proxy"}),
        ("embedded,monitoring", {"prometheus", "grafana"}),
        ("embedded,tracing", {"jaeger"}),
        ("gpu,voxtral", {"ollama-gpu", "voxtral"}),
    ],
)
def test_one_setting_chooses_what_else_is_started(
    containers, monkeypatch: pytest.MonkeyPatch, profiles: str, added: set[str]
) -> None:
    monkeypatch.setenv("COMPOSE_PROFILES", profiles)
    listed = docker("compose", "--project-directory", str(PROJECT), "config", "--services").split()
    assert set(listed) == {*SERVICES, *added}


async def test_a_spoken_question_is_answered_aloud(containers, question) -> None:
    async with open_session(containers.url) as talk:
        turn = await run_turn(talk, load_clip(question.path))
    assert question.is_answered_by(turn.reply.text)
    assert turn.reply.received_ms > 1000
    assert turn.finished.heard_text.split() == turn.reply.text.split()
    assert turn.response_ms < 10_000


def test_nothing_is_published_but_on_loopback(containers) -> None:
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
def test_a_service_is_nobody_and_can_write_nowhere_that_lasts(containers, service: str) -> None:
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


def test_the_network_of_the_services_leads_nowhere(containers) -> None:
    assert docker("network", "inspect", "-f", "{{.Internal}}", f"{NAME}_mesh") == "true"
    for service in LEANED_ON:
        networks = set(containers.inspect(service)["NetworkSettings"]["Networks"])
        # The other one is for the health port and has no way out.
        assert networks == {f"{NAME}_mesh", f"{NAME}_health"}
    options = '{{index .Options "com.docker.network.bridge.enable_ip_masquerade"}}'
    assert docker("network", "inspect", "-f", options, f"{NAME}_health") == "false"


@pytest.mark.parametrize("service", LEANED_ON)
async def test_a_session_outlives_a_service_that_crashes(containers, question, service: str) -> None:
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
        reply = await asked_again(talk, clip, question, within_s=60)
    assert question.is_answered_by(reply)
    assert containers.inspect(service)["State"]["StartedAt"] != before["State"]["StartedAt"]


async def test_a_session_outlives_a_partition_and_is_told_of_it(containers, question) -> None:
    clip = load_clip(question.path)
    cut_off = containers.container("stt-service")
    async with open_session(containers.url) as talk:
        await run_turn(talk, clip, listen_s=0.2)
        docker("network", "disconnect", f"{NAME}_mesh", cut_off)
        try:
            since = len(talk.events)
            await talk.play_clip(clip)
            told = await talk.wait_until(
                lambda events: next((e for e in events[since:] if e.name in {"service_notice", "turn_failed"}), None),
                within_s=60,
                wanted="word of what is wrong",
            )
        finally:
            docker("network", "connect", "--alias", "stt-service", f"{NAME}_mesh", cut_off)
        assert told.message.code.startswith("stt.")
        reply = await asked_again(talk, clip, question, within_s=60)
    assert question.is_answered_by(reply)


def test_after_all_this_everything_is_healthy(containers) -> None:
    assert [service for service in SERVICES if not containers.is_healthy(service)] == []
