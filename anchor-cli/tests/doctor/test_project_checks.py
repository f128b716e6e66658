"""Checks of the project."""

from __future__ import annotations

from pathlib import Path

import pytest
from anchor_cli.doctor.finding import Verdict
from anchor_cli.doctor.project_checks import (
    check_env_file,
    check_microphone,
    check_models,
    check_ports,
    check_settings,
)
from anchor_cli.mesh.ports import TakenPort
from anchor_cli.settings import MeshSettings
from doctor_machine import EMBEDDED, FakeMachine, the
from service_kit.anchor_command import anchor_command


def test_taken_port_names_owner_and_setting() -> None:
    machine = FakeMachine(taken=[TakenPort(8080, 77, "nginx: master")])
    finding = the(check_ports(machine, EMBEDDED))
    assert finding.verdict is Verdict.PROBLEM
    assert "process 77 (nginx: master)" in finding.message
    assert "ORCHESTRATOR_HTTP_PORT" in finding.fix


def test_running_mesh_is_a_hint() -> None:
    machine = FakeMachine(taken=[TakenPort(port, 77, "python -m orchestrator") for port in (9080, 8080)])
    finding = the(check_ports(machine, EMBEDDED))
    assert finding.verdict is Verdict.HINT
    assert "8080, 9080" in finding.message
    assert the(check_ports(FakeMachine(), EMBEDDED)).verdict is Verdict.OK


def test_invalid_settings_are_named_by_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    assert the(check_settings()).verdict is Verdict.OK
    monkeypatch.setenv("ORCHESTRATOR_PATIENCE", "9")
    monkeypatch.setenv("ANCHOR_PROFILE", "quantum")
    found = {finding.message.partition(":")[0]: finding.verdict for finding in check_settings()}
    assert found == {"ORCHESTRATOR_PATIENCE": Verdict.PROBLEM, "ANCHOR_PROFILE": Verdict.PROBLEM}


def test_unknown_env_name_suggests_the_closest_one() -> None:
    env = {".env.example": {"SHARED_SECRET": ""}, ".env": {"SHARED_SECERT": "x", "MINE": "1", "SHARED_SECRET": "y"}}
    findings = {finding.message.split()[2]: finding.fix for finding in check_env_file(FakeMachine(env=env), EMBEDDED)}
    assert findings["SHARED_SECERT,"] == "did you mean SHARED_SECRET?"
    assert "remove it" in findings["MINE,"]
    assert list(check_env_file(FakeMachine(), EMBEDDED)) == []


def test_names_of_other_voice_servers_are_known() -> None:
    env = {".env.example": {"OLLAMA_MODEL_NAME": ""}, ".env": {"OLLAMA_MODEL": "x", "WHISPER_MODEL": "small"}}
    assert list(check_env_file(FakeMachine(env=env), EMBEDDED)) == []


def test_pulled_model_of_no_profile_is_verified_too(project: MeshSettings) -> None:
    lock, models = project.root / "models.lock", project.root / "models"
    lock.write_text(lock.read_text().replace('profiles = ["gpu"]', "profiles = []"))
    before = len(list(check_models(project)))
    (models / "large").mkdir(parents=True)
    (models / "large/large.gguf").write_bytes(b"weighty")
    findings = list(check_models(project))
    assert len(findings) == before + 1
    assert (findings[-1].verdict, findings[-1].fix) == (Verdict.PROBLEM, anchor_command("pull large"))


def test_model_files_are_verified_by_hash(project: MeshSettings) -> None:
    models = project.root / "models"
    assert [each.verdict for each in check_models(project)] == [Verdict.PROBLEM, Verdict.WARNING, Verdict.WARNING]
    (models / "large").mkdir(parents=True)
    (models / "tiny.onnx").write_bytes(b"weights")
    (models / "large/large.gguf").write_bytes(b"weighty")
    tiny, large, unknown = check_models(project)
    assert (tiny.verdict, large.verdict, unknown.verdict) == (Verdict.OK, Verdict.PROBLEM, Verdict.WARNING)
    assert (large.fix, unknown.fix) == (anchor_command("pull large"), anchor_command("pull unknown"))


def test_missing_lock_is_a_problem(tmp_path: Path) -> None:
    assert the(check_models(MeshSettings(root=tmp_path))).verdict is Verdict.PROBLEM


@pytest.mark.parametrize(
    ("host", "verdict"),
    [
        ("127.0.0.1", Verdict.HINT),
        ("localhost", Verdict.HINT),
        ("0.0.0.0", Verdict.WARNING),
        ("anchor.lan", Verdict.WARNING),
    ],
)
def test_microphone_check_recommends_https(host: str, verdict: Verdict) -> None:
    finding = the(check_microphone(MeshSettings(host=host)))
    assert finding.verdict is verdict
    assert "HTTPS" in finding.fix
