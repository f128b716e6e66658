"""What is told about a process, from a made-up /proc."""

from __future__ import annotations

from pathlib import Path

import pytest
from gpu_monitor.processes import HOST_PID_NAMESPACE, VisibleProcesses

CONTAINER = "3f2a" * 16


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A /proc of the host in which process 7 runs in a container."""
    (tmp_path / "self/ns").mkdir(parents=True)
    (tmp_path / "self/ns/pid").symlink_to(HOST_PID_NAMESPACE)
    (tmp_path / "7").mkdir()
    (tmp_path / "7/comm").write_text("python3\n")
    (tmp_path / "7/cmdline").write_text("python3\0-m\0stt_service\0")
    (tmp_path / "7/cgroup").write_text(f"0::/system.slice/docker-{CONTAINER}.scope\n")
    return tmp_path


def test_a_python_service_goes_by_its_package(proc: Path):
    processes = VisibleProcesses(proc=proc)
    assert (processes.name(7), processes.service(7)) == ("python3", "stt-service")


def test_only_the_package_counts(proc: Path):
    (proc / "7/cmdline").write_text("python3\0-m\0vllm.entrypoints.openai.api_server\0--port\08000\0")
    assert VisibleProcesses(proc=proc).service(7) == "vllm"


@pytest.mark.parametrize("command", ["/usr/bin/ollama\0serve\0", "grep\0-m\05\0", "python3\0-m\0", ""])
def test_anything_else_goes_by_its_container(proc: Path, command: str):
    (proc / "7/cmdline").write_text(command)
    assert VisibleProcesses(proc=proc).service(7) == CONTAINER[:12]


def test_a_process_outside_containers_belongs_to_nothing_known(proc: Path):
    (proc / "7/cmdline").write_text("/usr/lib/xorg/Xorg\0")
    (proc / "7/cgroup").write_text("0::/user.slice\n")
    assert VisibleProcesses(proc=proc).service(7) == ""


def test_a_process_that_ended_has_no_name(proc: Path):
    processes = VisibleProcesses(proc=proc)
    assert (processes.name(8), processes.service(8)) == ("", "")


def test_inside_a_container_the_hosts_pids_mean_nothing(proc: Path):
    (proc / "self/ns/pid").unlink()
    (proc / "self/ns/pid").symlink_to("pid:[4026533000]")
    assert VisibleProcesses(proc=proc).name(7) == ""
    assert VisibleProcesses(host_pids=True, proc=proc).name(7) == "python3"


def test_without_namespaces_nothing_is_taken_for_granted(tmp_path: Path):
    (tmp_path / "7").mkdir()
    (tmp_path / "7/comm").write_text("python3\n")
    assert VisibleProcesses(proc=tmp_path).name(7) == ""
