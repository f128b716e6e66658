"""The audit log: which events are recorded, with which fields, within which bounds."""

from __future__ import annotations

import json
import logging
import threading
from pathlib import Path

import httpx
import pytest
from api_support import FakeSessions, serve_apis
from orchestrator.api import audit as audit_module
from orchestrator.api.access import AccessPolicy
from orchestrator.api.audit import AuditLog, audit_file, event_of
from orchestrator.api.secret_check import SecretCheck
from orchestrator.metrics import AUDIT_LINES_LOST, SECURITY_EVENTS
from pydantic import SecretStr
from service_kit.errors import Denied, InvalidRequest
from service_kit.http.api_keys import Scope, new_api_key
from service_kit.observability.audit import AuditFile, SecurityEvent
from websockets.asyncio.client import connect

SECRET = SecretStr("the right one")
RIGHT = SECRET.get_secret_value()


def count(event: SecurityEvent) -> float:
    return SECURITY_EVENTS.labels(event)._value.get()


def lines_of(caplog: pytest.LogCaptureFixture) -> list[dict[str, object]]:
    names = ("event", "key", "address", "code", "by", "voice", "keys")
    records = [vars(record) for record in caplog.records if record.name == "audit"]
    return [{name: record[name] for name in names if name in record} for record in records]


async def test_events_are_recorded_without_secrets_and_tickets(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    token, key = new_api_key("kitchen", frozenset(Scope))
    talking, limited = new_api_key("guests", frozenset({Scope.TALK}))
    check = SecretCheck(SECRET, keys=[key, limited])
    before = count(SecurityEvent.REFUSED)
    served = serve_apis(FakeSessions(), policy=AccessPolicy(secret=SECRET), secret_check=check)
    async with served as host, httpx.AsyncClient(base_url=f"http://{host}") as http:

        async def ask(method: str, path: str, credential: str = token, **headers: str) -> httpx.Response:
            authorization = {"Authorization": f"Bearer {credential}"} if credential else {}
            return await http.request(method, path, headers={**authorization, **headers}, json={})

        await ask("GET", "/stored?person_id=ada")
        await ask("GET", "/stored?session_id=c4&ticket=")
        await ask("GET", "/stored")
        await ask("DELETE", "/stored?ticket=hush-ticket")
        ticket = (await ask("POST", "/conversation/start", RIGHT)).json()["ticket"]
        await ask("DELETE", f"/conversation/{ticket}", RIGHT)
        await ask("GET", "/stored?person_id=ada", talking)
        await ask("POST", "/conversation/start", "")
        await ask("POST", "/conversation/start", "hush-guess")
        await ask("POST", "/conversation/start", "hush-guess")
        await ask("POST", "/conversation/start", Origin="https://foreign.example")
        page = (await ask("POST", "/access/token")).json()["token"]
        async with connect(f"ws://{host}/ws?token={page}"):
            pass
    refused = {"event": "refused", "address": "127.0.0.1"}
    kitchen = {"address": "127.0.0.1", "key": "kitchen"}
    assert lines_of(caplog) == [
        {"event": "key_used", **kitchen},
        {"event": "conversations_exported", "by": "person_id", **kitchen},
        {"event": "conversations_exported", "by": "session_id", **kitchen},
        {"event": "conversations_deleted", "by": "ticket", **kitchen},
        # The shared secret has no name.
        {"event": "key_used", "address": "127.0.0.1"},
        {"event": "conversations_deleted", "by": "ticket", "address": "127.0.0.1"},
        {**refused, "code": "orchestrator.key_scope"},
        {**refused, "code": "orchestrator.denied"},
        {"event": "wrong_secret", "address": "127.0.0.1"},
        {**refused, "code": "orchestrator.foreign_origin"},
        {"event": "token_issued", **kitchen},
        {"event": "token_used", **kitchen},
    ]
    assert count(SecurityEvent.REFUSED) == before + 3
    # The clients of this test log what they send.
    of_server = (
        record for record in caplog.records if record.name.startswith(("audit", "orchestrator", "service_kit"))
    )
    written = str([vars(record) for record in of_server])
    for secret in ("hush", "ada", token, talking, RIGHT, ticket, page, key.digest):
        assert secret not in written


@pytest.mark.parametrize(
    ("method", "path", "event"),
    [
        ("POST", "/v1/audio/voices", SecurityEvent.VOICE_ADDED),
        ("DELETE", "/v1/audio/voices/ana-1", SecurityEvent.VOICE_DELETED),
        ("GET", "/v1/audio/voices", None),
        ("DELETE", "/stored/", SecurityEvent.CONVERSATIONS_DELETED),
        ("GET", "/conversation/x", None),
        ("POST", "/interact", None),
    ],
)
def test_requests_that_are_events(method: str, path: str, event: SecurityEvent | None) -> None:
    assert event_of(method, path) == event


def test_lines_are_bounded_and_every_event_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    now_s = [1000.0]
    log = AuditLog(lambda: now_s[0])
    before, lost = count(SecurityEvent.REFUSED), AUDIT_LINES_LOST._value.get()
    for _ in range(1000):
        log.record(SecurityEvent.REFUSED)
    written = len(lines_of(caplog))
    assert 20 <= written <= 21
    # Strangers do not silence the events of others.
    log.record(SecurityEvent.TOKEN_USED)
    now_s[0] += 2
    log.record(SecurityEvent.REFUSED)
    assert len(lines_of(caplog)) == written + 2
    assert count(SecurityEvent.REFUSED) == before + 1001
    assert AUDIT_LINES_LOST._value.get() == lost + 1000 - written


def test_keys_in_force_are_recorded_without_digests(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    _, key = new_api_key("kitchen", frozenset({Scope.TALK, Scope.DATA}))
    # Whatever the level of the log is.
    logging.getLogger("audit").setLevel(logging.ERROR)
    try:
        with audit_file(tmp_path / "audit.log", "orchestrator"):
            AuditLog().record_keys([key])
    finally:
        logging.getLogger("audit").setLevel(logging.NOTSET)
    (line,) = (tmp_path / "audit.log").read_text().splitlines()
    assert json.loads(line)["keys"] == ["kitchen:talk+data"]
    assert key.digest not in line
    assert lines_of(caplog) == [{"event": "keys_in_force", "keys": ["kitchen:talk+data"]}]
    assert logging.getLogger("audit").handlers == []


def test_a_disk_that_hangs_delays_no_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_module, "_MAX_WAITING", 10)
    goes_on = threading.Event()
    write = AuditFile.emit

    def hang(file: AuditFile, record: logging.LogRecord) -> None:
        assert goes_on.wait(20)
        write(file, record)

    monkeypatch.setattr(AuditFile, "emit", hang)
    lost = AUDIT_LINES_LOST._value.get()
    log = AuditLog()
    with audit_file(tmp_path / "audit.log", "orchestrator"):
        for _ in range(100):
            log.record(SecurityEvent.TOKEN_USED)
        goes_on.set()
    written = len((tmp_path / "audit.log").read_text().splitlines())
    assert 10 <= written <= 12
    assert AUDIT_LINES_LOST._value.get() == lost + 100 - written


def test_a_disk_that_hangs_for_good_does_not_keep_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(audit_module, "_FINISH_S", 0.05)
    goes_on = threading.Event()
    monkeypatch.setattr(AuditFile, "emit", lambda file, record: goes_on.wait(20))
    with audit_file(tmp_path / "audit.log", "orchestrator"):
        AuditLog().record(SecurityEvent.TOKEN_USED)
    goes_on.set()
    assert "audit file hangs" in caplog.messages


def test_a_file_that_cannot_be_opened_ends_the_start(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="ORCHESTRATOR_AUDIT_FILE: cannot open"), audit_file(tmp_path, "x"):
        pytest.fail("opened")


def test_a_guess_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    check = SecretCheck(SECRET)
    with pytest.raises(Denied) as refused:
        check.require(["hush"], "192.0.2.7")
    check.record_refusal(refused.value, "192.0.2.7")
    assert lines_of(caplog) == [{"event": "wrong_secret", "address": "192.0.2.7"}]
