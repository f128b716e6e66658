"""The effects of the orchestrator's settings."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest
from api_support import FakeSessions, serve_apis
from client_codec import client_to_json, server_from_json
from orchestrator.api.access import access_policy
from orchestrator.api.limits import ApiLimits
from orchestrator.app import build
from orchestrator.conversation.messages.client import SessionStart
from orchestrator.conversation.messages.server import SessionStarted
from orchestrator.llm.ollama.engine import OllamaSettings
from orchestrator.settings import OrchestratorSettings
from pydantic import ValidationError
from service_kit.errors import InvalidRequest
from service_kit.http.api_keys import Scope, new_api_key
from service_kit.setting_problems import setting_problems_line
from websockets.asyncio.client import connect

ROOT = Path(__file__).parents[2]
CONTENT = {"personas_dir": ROOT / "content/personas", "web_dir": ROOT / "web/dist"}


def test_language_is_automatic_unless_set(monkeypatch: pytest.MonkeyPatch) -> None:
    assert OrchestratorSettings(_env_file=None).language == "auto"
    monkeypatch.setenv("ORCHESTRATOR_LANGUAGE", "de")
    assert OrchestratorSettings(_env_file=None).language == "de"


async def test_open_bind_needs_a_secret_unless_only_loopback_is_published() -> None:
    with pytest.raises(InvalidRequest, match="needs a shared secret"):
        build(OrchestratorSettings(host="0.0.0.0", **CONTENT))
    build(OrchestratorSettings(host="0.0.0.0", published_on_loopback=True, **CONTENT))


async def test_open_bind_needs_no_secret_with_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    token, key = new_api_key("kitchen", frozenset({Scope.TALK}))
    monkeypatch.setenv("ORCHESTRATOR_API_KEYS", json.dumps([str(key)]))
    app = build(OrchestratorSettings(host="0.0.0.0", **CONTENT))._http.config.app
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as http:
        statuses = [
            (await http.get("/conversation/none", headers={"Authorization": f"Bearer {sent}"})).status_code
            for sent in (token, "another")
        ]
    assert statuses == [404, 401]


def test_invalid_key_is_a_problem_of_its_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHESTRATOR_API_KEYS", '["kitchen:talk:hush"]')
    with pytest.raises(ValidationError) as invalid:
        OrchestratorSettings()
    line = setting_problems_line(invalid.value)
    assert line.startswith("ORCHESTRATOR_API_KEYS: ")
    assert "hush" not in line


async def test_published_on_loopback_accepts_only_configured_hosts() -> None:
    settings = OrchestratorSettings(host="0.0.0.0", published_on_loopback=True, hosts=("anchor.lan",))
    policy = access_policy(settings.client_host, settings.shared_secret, hosts=settings.hosts)
    async with serve_apis(FakeSessions(), policy=policy) as host, httpx.AsyncClient(base_url=f"http://{host}") as http:
        answers = {
            name: (await http.post("/conversation/start", json={}, headers={"Host": name})).status_code
            for name in ("127.0.0.1:8080", "localhost:8080", "anchor.lan", "orchestrator:8080", "evil.example")
        }
    welcome = {name for name, status in answers.items() if status != 403}
    assert welcome == {"127.0.0.1:8080", "localhost:8080", "anchor.lan"}


@pytest.mark.parametrize(("declared_hz", "expected_hz"), [(0, 48_000), (8_000, 8_000)])
async def test_sample_rate_setting_applies_to_clients_that_declare_none(declared_hz: int, expected_hz: int) -> None:
    limits = ApiLimits(microphone_rate_hz=OrchestratorSettings(microphone_rate_hz=48_000).microphone_rate_hz)
    async with serve_apis(FakeSessions(), limits) as host, connect(f"ws://{host}/ws/audio") as client:
        await client.send(client_to_json(SessionStart(sample_rate_hz=declared_hz)))
        started = server_from_json(str(await client.recv()))
    assert isinstance(started, SessionStarted)
    assert started.microphone_sample_rate_hz == expected_hz


def test_shared_environment_names_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {"SAMPLE_RATE": "44100", "MAX_LATENCY_MS": "1500", "MAX_CONCURRENT_SESSIONS": "7", "SHARED_SECRET": "hush"}
    for name, value in {**names, "OLLAMA_URL": "http://gpu:11434", "OLLAMA_MODEL_NAME": "tiny"}.items():
        monkeypatch.setenv(name, value)
    settings, ollama = OrchestratorSettings(), OllamaSettings()
    assert (settings.microphone_rate_hz, settings.latency_budget_ms, settings.max_sessions) == (44_100, 1_500, 7)
    assert settings.shared_secret is not None
    assert settings.shared_secret.get_secret_value() == "hush"
    assert (ollama.url, ollama.model) == ("http://gpu:11434", "tiny")
