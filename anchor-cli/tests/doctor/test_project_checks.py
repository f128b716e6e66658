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


def test_a_port_is_told_with_whose_it_is_and_what_moves_it() -> None:
    machine = FakeMachine(taken=[TakenPort(8080, 77, "nginx: master")])
    finding = the(check_ports(machine, EMBEDDED))
    assert finding.verdict is Verdict.PROBLEM
    assert "process 77 (nginx: master)" in finding.message
    assert "ORCHESTRATOR_HTTP_PORT" in finding.fix


def test_a_mesh_that_runs_is_no_problem() -> None:
    machine = FakeMachine(taken=[TakenPort(port, 77, "python -m orchestrator") for port in (9080, 8080)])
    finding = the(check_ports(machine, EMBEDDED))
    assert finding.verdict is Verdict.HINT
    assert "8080, 9080" in finding.message
    assert the(check_ports(FakeMachine(), EMBEDDED)).verdict is Verdict.OK


def test_settings_that_do_not_fit_are_told_by_the_name_to_correct(monkeypatch: pytest.MonkeyPatch) -> None:
    assert the(check_settings()).verdict is Verdict.OK
    monkeypatch.setenv("ORCHESTRATOR_PATIENCE", "9")
    monkeypatch.setenv("ANCHOR_PROFILE", "quantum")
    found = {finding.message.partition(":")[0]: finding.verdict for finding in check_settings()}
    assert found == {"ORCHESTRATOR_PATIENCE": Verdict.PROBLEM, "ANCHOR_PROFILE": Verdict.PROBLEM}


def test_a_name_that_nobody_reads_is_told_with_the_one_it_is_like() -> None:
    env = {".env.example": {"SHARED_SECRET": ""}, ".env": {"SHARED_SECERT": "x", "MINE": "1", "SHARED_SECRET": "y"}}
    findings = {finding.message.split()[2]: finding.fix for finding in check_env_file(FakeMachine(env=env), EMBEDDED)}
    assert findings["SHARED_SECERT,"] == "did you mean SHARED_SECRET?"
    assert "remove it" in findings["MINE,"]
    assert list(check_env_file(FakeMachine(), EMBEDDED)) == []


def test_model_files_are_held_to_their_hashes(project: MeshSettings) -> None:
    models = project.root / "models"
    assert [each.verdict for each in check_models(project)] == [Verdict.PROBLEM, Verdict.WARNING, Verdict.HINT]
    (models / "large").mkdir(parents=True)
    (models / "tiny.onnx").write_bytes(b"weights")
    (models / "large/large.gguf").write_bytes(b"weighty")
    tiny, large, unknown = check_models(project)
    assert (tiny.verdict, large.verdict, unknown.verdict) == (Verdict.OK, Verdict.PROBLEM, Verdict.HINT)
    assert (large.fix, "trust-on-first-use" in unknown.fix) == ("anchor pull large", True)


def test_a_lock_that_is_gone_is_a_problem(tmp_path: Path) -> None:
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
def test_who_listens_for_others_is_told_of_https(host: str, verdict: Verdict) -> None:
    finding = the(check_microphone(MeshSettings(host=host)))
    assert finding.verdict is verdict
    assert "HTTPS" in finding.fix
