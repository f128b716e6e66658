"""The doctor command: output and exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from anchor_cli.app import app
from anchor_cli.doctor.command import print_findings, run_checks
from anchor_cli.doctor.finding import Finding, Verdict, exit_code
from anchor_cli.mesh.ports import TakenPort
from anchor_cli.settings import MeshSettings
from doctor_machine import FakeMachine
from rich.console import Console
from typer.testing import CliRunner

ROOT = Path(__file__).parents[3]


def test_exit_code_is_1_only_for_problems() -> None:
    findings = [Finding("x", verdict, "y") for verdict in (Verdict.OK, Verdict.HINT, Verdict.WARNING)]
    assert exit_code(findings) == 0
    assert exit_code([*findings, Finding("x", Verdict.PROBLEM, "y")]) == 1


def test_every_finding_that_is_not_ok_prints_a_fix(project: MeshSettings) -> None:
    findings = run_checks(FakeMachine(free=0, python=(3, 10), taken=[TakenPort(9081, None, "")]), project)
    console = Console(width=200, record=True, quiet=False)
    with console.capture() as capture:
        print_findings(console, findings)
    text = capture.get()
    for finding in findings:
        assert finding.message in text
        if finding.verdict is not Verdict.OK:
            assert finding.fix, finding
            assert finding.fix in text


def test_command_prints_json_and_reads_the_env_file(
    project: MeshSettings, monkeypatch: pytest.MonkeyPatch, ports: dict[str, int]
) -> None:
    # Set and deleted, so that monkeypatch removes the variable that the command loads from .env.
    monkeypatch.setenv("ORCHESTRATOR_PATIENCE", "1")
    monkeypatch.delenv("ORCHESTRATOR_PATIENCE")
    (project.root / ".env").write_text("ORCHESTRATOR_PATIENCE=9\n")
    env = {name.upper(): str(port) for name, port in ports.items()} | {"ANCHOR_ROOT": str(project.root)}
    result = CliRunner().invoke(app, ["doctor", "--json"], env=env)
    assert result.exit_code == 1
    findings = json.loads(result.output)
    assert {"check", "verdict", "message", "fix"} == findings[0].keys()
    assert any(each["message"].startswith("ORCHESTRATOR_PATIENCE") for each in findings)


def test_invalid_settings_of_the_command_are_a_finding(project: MeshSettings) -> None:
    env = {"ANCHOR_ROOT": str(project.root), "STT_GRPC_PORT": "99999", "COLUMNS": "200"}
    result = CliRunner().invoke(app, ["doctor"], env=env)
    assert result.exit_code == 1
    assert "STT_GRPC_PORT" in result.output
