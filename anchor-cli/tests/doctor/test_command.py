"""What the doctor finds, on machines that have this or that."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from anchor_cli.app import app
from anchor_cli.doctor.command import print_findings, run_checks
from anchor_cli.doctor.finding import Finding, Verdict, exit_code
from anchor_cli.doctor.machine import CommandResult, LocalMachine
from anchor_cli.doctor.machine_checks import check_containers, check_disk, check_gpu, check_python
from anchor_cli.doctor.project_checks import (
    check_env_file,
    check_microphone,
    check_models,
    check_ports,
    check_settings,
)
from anchor_cli.mesh.ports import TakenPort
from anchor_cli.settings import MeshSettings
from rich.console import Console
from typer.testing import CliRunner

ROOT = Path(__file__).parents[3]
GOOD_GPU = CommandResult("NVIDIA RTX 6000 Ada Generation, 570.86.15, 49140, 500", succeeded=True)
ABSENT = CommandResult(found=False)


@dataclass
class FakeMachine:
    """Says what it is told to say; a command is known by its first words."""

    python: tuple[int, int] = (3, 12)
    free: int = 500 * 10**9
    taken: list[TakenPort] = field(default_factory=list)
    answers: dict[str, CommandResult] = field(default_factory=dict)
    env: dict[str, dict[str, str]] = field(default_factory=dict)

    def run_command(self, *command: str) -> CommandResult:
        line = " ".join(command)
        return next((answer for start, answer in self.answers.items() if line.startswith(start)), ABSENT)

    def free_bytes(self, folder: Path) -> int:
        return self.free

    def find_taken_ports(self, host: str, ports: list[int]) -> list[TakenPort]:
        return [port for port in self.taken if port.port in ports]

    def read_env_names(self, env_file: Path) -> Mapping[str, str]:
        return self.env.get(env_file.name, {})


DOCKER = {
    "docker version": CommandResult("27.1.1", succeeded=True),
    "docker compose": CommandResult("v2.29.0", succeeded=True),
    "docker info": CommandResult('{"nvidia": {}, "runc": {}}', succeeded=True),
}
GPU = MeshSettings(profile="gpu")
EMBEDDED = MeshSettings(profile="embedded")


def the(findings: object) -> Finding:
    (finding,) = findings  # type: ignore[misc]
    return finding


@pytest.mark.parametrize(
    ("python", "verdict"),
    [((3, 10), Verdict.PROBLEM), ((3, 11), Verdict.OK), ((3, 12), Verdict.OK), ((3, 14), Verdict.WARNING)],
)
def test_a_python_that_was_not_tried_is_told(python: tuple[int, int], verdict: Verdict) -> None:
    assert the(check_python(FakeMachine(python=python))).verdict is verdict


@pytest.mark.parametrize(
    ("free_gb", "profile", "verdict"),
    [
        (1, "embedded", Verdict.PROBLEM),
        (4, "embedded", Verdict.WARNING),
        (6, "embedded", Verdict.OK),
        (6, "cpu", Verdict.PROBLEM),
        (40, "gpu", Verdict.WARNING),
    ],
)
def test_the_disk_must_hold_what_the_profile_brings(free_gb: int, profile: str, verdict: Verdict) -> None:
    settings = MeshSettings.model_validate({"profile": profile})
    assert the(check_disk(FakeMachine(free=free_gb * 10**9), settings)).verdict is verdict


def test_a_gpu_as_it_should_be() -> None:
    driver, memory = check_gpu(FakeMachine(answers={"nvidia-smi": GOOD_GPU}), GPU)
    assert (driver.verdict, memory.verdict) == (Verdict.OK, Verdict.OK)
    assert "47.5 of 48.0 GiB free" in memory.message


def test_an_old_driver_and_a_full_card_are_told_with_their_cures() -> None:
    machine = FakeMachine(
        answers={"nvidia-smi": CommandResult("NVIDIA RTX A6000, 535.54, 49140, 30000", succeeded=True)}
    )
    driver, memory = check_gpu(machine, GPU)
    assert (driver.verdict, memory.verdict) == (Verdict.PROBLEM, Verdict.WARNING)
    assert "550" in driver.fix
    assert "nvidia-smi" in memory.fix


def test_a_small_card_is_sent_to_the_plan() -> None:
    machine = FakeMachine(answers={"nvidia-smi": CommandResult("Tesla T4, 560.1, 15360, 0", succeeded=True)})
    _, memory = check_gpu(machine, GPU)
    assert (memory.verdict, memory.fix) == (Verdict.WARNING, "choose models that fit: `anchor plan`")
    _, memory = check_gpu(machine, EMBEDDED)
    assert memory.verdict is Verdict.OK


def test_no_gpu_is_a_problem_only_where_one_is_needed() -> None:
    assert the(check_gpu(FakeMachine(), EMBEDDED)).verdict is Verdict.OK
    assert the(check_gpu(FakeMachine(), GPU)).verdict is Verdict.PROBLEM
    broken = FakeMachine(answers={"nvidia-smi": CommandResult("NVIDIA-SMI has failed\nbecause", succeeded=False)})
    assert "NVIDIA-SMI has failed" in the(check_gpu(broken, GPU)).message


def test_what_nvidia_smi_says_unheard_of_is_passed_on() -> None:
    machine = FakeMachine(answers={"nvidia-smi": CommandResult("NVIDIA GB10, 580.1, [N/A], [N/A]", succeeded=True)})
    assert "[N/A]" in the(check_gpu(machine, GPU)).message


def test_containers_as_they_should_be() -> None:
    findings = list(check_containers(FakeMachine(answers=DOCKER), GPU))
    assert [finding.verdict for finding in findings] == [Verdict.OK] * 3


@pytest.mark.parametrize(
    ("changed", "check"),
    [
        ({"docker version": CommandResult("24.0.7", succeeded=True)}, "docker"),
        ({"docker compose": CommandResult("docker: 'compose' is not a docker command.")}, "compose"),
        ({"docker info": CommandResult('{"runc": {}}', succeeded=True)}, "container toolkit"),
        ({"docker info": CommandResult("permission denied")}, "container toolkit"),
    ],
)
def test_what_containers_lack_is_a_problem(changed: dict[str, CommandResult], check: str) -> None:
    findings = check_containers(FakeMachine(answers={**DOCKER, **changed}), GPU)
    problems = [finding for finding in findings if finding.verdict is Verdict.PROBLEM]
    assert [finding.check for finding in problems] == [check]
    assert problems[0].fix


def test_docker_may_be_missing_where_it_is_not_needed() -> None:
    assert the(check_containers(FakeMachine(), EMBEDDED)).verdict is Verdict.HINT
    down = FakeMachine(answers={"docker version": CommandResult("Cannot connect to the Docker daemon")})
    finding = the(check_containers(down, GPU))
    assert finding.verdict is Verdict.WARNING
    assert "Cannot connect" in finding.message


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


@pytest.fixture
def project(tmp_path: Path) -> MeshSettings:
    """A project with one model of each kind, neither of them here."""
    digest = hashlib.sha256(b"weights").hexdigest()
    (tmp_path / "models.lock").write_text(f"""
[[model]]
name = "tiny"
file = "tiny.onnx"
sha256 = "{digest}"
size_bytes = 7
licence = "MIT"
package = "tiny"
version = "1.0"
wheel_sha256 = "{"0" * 64}"
path_in_wheel = "tiny.onnx"

[[model]]
kind = "hub"
name = "large"
repository = "example/large"
revision = "{"a" * 40}"
licence = "MIT"
profiles = ["gpu"]
files = [{{path = "large.gguf", sha256 = "{digest}", size_bytes = 7}}]

[[model]]
kind = "hub"
name = "unknown"
repository = "example/unknown"
revision = "main"
licence = "MIT"
profiles = ["gpu"]
files = [{{path = "unknown.gguf", sha256 = "", size_bytes = 0}}]
""")
    return MeshSettings(root=tmp_path, profile="gpu")


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


def test_only_a_problem_fails() -> None:
    findings = [Finding("x", verdict, "y") for verdict in (Verdict.OK, Verdict.HINT, Verdict.WARNING)]
    assert exit_code(findings) == 0
    assert exit_code([*findings, Finding("x", Verdict.PROBLEM, "y")]) == 1


def test_every_finding_that_is_not_well_has_a_cure_and_is_shown_with_it(project: MeshSettings) -> None:
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


def test_this_machine_answers(tmp_path: Path) -> None:
    machine = LocalMachine()
    assert machine.python >= (3, 11)
    assert machine.run_command("echo", "hello") == CommandResult("hello", succeeded=True)
    assert machine.run_command("sh", "-c", "echo; echo why >&2; exit 1") == CommandResult("why")
    assert machine.run_command("no-such-command-of-ai-anchor") == ABSENT
    assert not machine.run_command(str(tmp_path)).succeeded
    assert machine.free_bytes(tmp_path / "not/yet/there") > 0
    assert machine.find_taken_ports("127.0.0.1", []) == []
    assert machine.read_env_names(tmp_path / ".env") == {}
    (tmp_path / ".env").write_text("# Said in words.\n#SAMPLE_RATE=16000\nANCHOR_HOST=::1\n")
    assert machine.read_env_names(tmp_path / ".env") == {"SAMPLE_RATE": "16000", "ANCHOR_HOST": "::1"}


def test_the_command_prints_json_and_reads_the_env_file(
    project: MeshSettings, monkeypatch: pytest.MonkeyPatch, ports: dict[str, int]
) -> None:
    # Set and removed, so that what the command takes out of .env is gone after the test.
    monkeypatch.setenv("ORCHESTRATOR_PATIENCE", "1")
    monkeypatch.delenv("ORCHESTRATOR_PATIENCE")
    (project.root / ".env").write_text("ORCHESTRATOR_PATIENCE=9\n")
    env = {name.upper(): str(port) for name, port in ports.items()} | {"ANCHOR_ROOT": str(project.root)}
    result = CliRunner().invoke(app, ["doctor", "--json"], env=env)
    assert result.exit_code == 1
    findings = json.loads(result.output)
    assert {"check", "verdict", "message", "fix"} == findings[0].keys()
    assert any(each["message"].startswith("ORCHESTRATOR_PATIENCE") for each in findings)


def test_settings_of_the_command_itself_that_do_not_fit_are_a_finding(project: MeshSettings) -> None:
    env = {"ANCHOR_ROOT": str(project.root), "STT_GRPC_PORT": "99999", "COLUMNS": "200"}
    result = CliRunner().invoke(app, ["doctor"], env=env)
    assert result.exit_code == 1
    assert "STT_GRPC_PORT" in result.output
