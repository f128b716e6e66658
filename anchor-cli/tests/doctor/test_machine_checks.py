"""Checks of the machine."""

from __future__ import annotations

import pytest
from anchor_cli.doctor.finding import Verdict
from anchor_cli.doctor.machine import CommandResult
from anchor_cli.doctor.machine_checks import check_containers, check_disk, check_gpu, check_python
from anchor_cli.settings import MeshSettings
from doctor_machine import DOCKER, EMBEDDED, GOOD_GPU, GPU, FakeMachine, the
from service_kit.anchor_command import anchor_command


@pytest.mark.parametrize(
    ("python", "verdict"),
    [((3, 10), Verdict.PROBLEM), ((3, 11), Verdict.OK), ((3, 12), Verdict.OK), ((3, 14), Verdict.WARNING)],
)
def test_untested_python_versions_are_reported(python: tuple[int, int], verdict: Verdict) -> None:
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
def test_free_disk_space_is_compared_with_the_profiles_need(free_gb: int, profile: str, verdict: Verdict) -> None:
    settings = MeshSettings.model_validate({"profile": profile})
    assert the(check_disk(FakeMachine(free=free_gb * 10**9), settings)).verdict is verdict


def test_suitable_gpu_is_ok() -> None:
    driver, memory = check_gpu(FakeMachine(answers={"nvidia-smi": GOOD_GPU}), GPU)
    assert (driver.verdict, memory.verdict) == (Verdict.OK, Verdict.OK)
    assert "47.5 of 48.0 GiB free" in memory.message


def test_old_driver_and_full_card_have_fixes() -> None:
    machine = FakeMachine(
        answers={"nvidia-smi": CommandResult("NVIDIA RTX A6000, 535.54, 49140, 30000", succeeded=True)}
    )
    driver, memory = check_gpu(machine, GPU)
    assert (driver.verdict, memory.verdict) == (Verdict.PROBLEM, Verdict.WARNING)
    assert "550" in driver.fix
    assert "nvidia-smi" in memory.fix


def test_small_card_refers_to_anchor_plan() -> None:
    machine = FakeMachine(answers={"nvidia-smi": CommandResult("Tesla T4, 560.1, 15360, 0", succeeded=True)})
    _, memory = check_gpu(machine, GPU)
    assert (memory.verdict, memory.fix) == (Verdict.WARNING, f"choose models that fit: `{anchor_command('plan')}`")
    _, memory = check_gpu(machine, EMBEDDED)
    assert memory.verdict is Verdict.OK


def test_missing_gpu_is_a_problem_only_for_the_gpu_profile() -> None:
    assert the(check_gpu(FakeMachine(), EMBEDDED)).verdict is Verdict.OK
    assert the(check_gpu(FakeMachine(), GPU)).verdict is Verdict.PROBLEM
    broken = FakeMachine(answers={"nvidia-smi": CommandResult("NVIDIA-SMI has failed\nbecause", succeeded=False)})
    assert "NVIDIA-SMI has failed" in the(check_gpu(broken, GPU)).message


def test_unexpected_nvidia_smi_output_is_shown() -> None:
    machine = FakeMachine(answers={"nvidia-smi": CommandResult("NVIDIA GB10, 580.1, [N/A], [N/A]", succeeded=True)})
    assert "[N/A]" in the(check_gpu(machine, GPU)).message


def test_suitable_container_tools_are_ok() -> None:
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
def test_outdated_or_missing_container_tools_are_problems(changed: dict[str, CommandResult], check: str) -> None:
    findings = check_containers(FakeMachine(answers={**DOCKER, **changed}), GPU)
    problems = [finding for finding in findings if finding.verdict is Verdict.PROBLEM]
    assert [finding.check for finding in problems] == [check]
    assert problems[0].fix


def test_missing_docker_is_not_a_problem() -> None:
    assert the(check_containers(FakeMachine(), EMBEDDED)).verdict is Verdict.HINT
    down = FakeMachine(answers={"docker version": CommandResult("Cannot connect to the Docker daemon")})
    finding = the(check_containers(down, GPU))
    assert finding.verdict is Verdict.WARNING
    assert "Cannot connect" in finding.message
