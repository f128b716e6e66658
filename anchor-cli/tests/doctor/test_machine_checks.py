"""Checks of the machine."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from anchor_cli.doctor.finding import Verdict
from anchor_cli.doctor.machine import CommandResult
from anchor_cli.doctor.machine_checks import (
    CUDA_OF,
    DRIVER_OF_CUDA,
    MIN_DRIVER,
    check_containers,
    check_disk,
    check_gpu,
    check_python,
)
from anchor_cli.settings import MeshSettings
from doctor_machine import DOCKER, EMBEDDED, GOOD_GPU, GPU, FakeMachine, the
from service_kit.anchor_command import anchor_command

ROOT = Path(__file__).parents[3]


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
        (60, "gpu", Verdict.PROBLEM),
        (90, "gpu", Verdict.WARNING),
        (100, "gpu", Verdict.OK),
    ],
)
def test_free_disk_space_is_compared_with_the_profiles_need(free_gb: int, profile: str, verdict: Verdict) -> None:
    settings = MeshSettings.model_validate({"profile": profile})
    assert the(check_disk(FakeMachine(free=free_gb * 10**9), settings)).verdict is verdict


def docker_at(folder: Path) -> dict[str, CommandResult]:
    return {"docker info --format {{.DockerRootDir}}": CommandResult(str(folder), succeeded=True)}


def test_one_disk_must_hold_models_and_images(tmp_path: Path) -> None:
    machine = FakeMachine(free=60 * 10**9, answers=docker_at(tmp_path))
    finding = the(check_disk(machine, GPU))
    assert finding.verdict is Verdict.PROBLEM
    assert "100" in finding.message


def test_the_disks_of_models_and_docker_are_checked_each(tmp_path: Path) -> None:
    for docker_gb, verdict in ((40, Verdict.PROBLEM), (60, Verdict.WARNING), (80, Verdict.OK)):
        machine = FakeMachine(free=30 * 10**9, answers=docker_at(tmp_path), disks={str(tmp_path): docker_gb * 10**9})
        models, images = check_disk(machine, GPU)
        assert (models.verdict, images.verdict) == (Verdict.OK, verdict)
        assert str(tmp_path) in images.message


def test_the_driver_suits_the_pinned_gpu_software() -> None:
    """A new pin must come with the CUDA generation that it is built for."""
    torch = re.findall(r"torch==[\d.]+", (ROOT / "tts-service/Dockerfile").read_text("utf-8"))
    vllm = re.findall(r"vllm-openai:v([\d.]+)", (ROOT / "deploy/voxtral/Dockerfile").read_text("utf-8"))
    assert {*torch, *(f"vllm=={version}" for version in vllm)} == CUDA_OF.keys()
    assert max(DRIVER_OF_CUDA[cuda] for cuda in CUDA_OF.values()) == MIN_DRIVER
    assert f"driver {MIN_DRIVER} or newer" in (ROOT / "docs/operations.md").read_text("utf-8")


def test_suitable_gpu_is_ok() -> None:
    driver, memory = check_gpu(FakeMachine(answers={"nvidia-smi": GOOD_GPU}), GPU)
    assert (driver.verdict, memory.verdict) == (Verdict.OK, Verdict.OK)
    assert "47.5 of 48.0 GiB free" in memory.message


def test_old_driver_and_full_card_have_fixes() -> None:
    machine = FakeMachine(
        answers={"nvidia-smi": CommandResult("NVIDIA RTX A6000, 575.51, 49140, 30000", succeeded=True)}
    )
    driver, memory = check_gpu(machine, GPU)
    assert (driver.verdict, memory.verdict) == (Verdict.PROBLEM, Verdict.WARNING)
    assert "580" in driver.fix
    assert "nvidia-smi" in memory.fix
    # The other profiles do not use the card.
    assert [finding.verdict for finding in check_gpu(machine, EMBEDDED)] == [Verdict.OK, Verdict.OK]


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
