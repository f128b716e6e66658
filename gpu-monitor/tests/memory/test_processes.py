"""What is told about a process, from a made-up /proc."""

from __future__ import annotations

from pathlib import Path

import pytest
from gpu_monitor.memory.processes import HOST_PID_NAMESPACE, VisibleProcesses

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


OUTER = "b1c0" * 16
POD = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod7f3e2d1c_0a9b_4c8d_9e7f_1234567890ab.slice"


@pytest.mark.parametrize(
    "cgroup",
    [
        # Version 2: Docker with systemd and without, containerd, CRI-O, podman, and from inside a cgroup namespace.
        f"0::/system.slice/docker-{CONTAINER}.scope\n",
        f"0::/docker/{CONTAINER}\n",
        f"0::{POD}/cri-containerd-{CONTAINER}.scope\n",
        f"0::{POD}/crio-{CONTAINER}.scope/container\n",
        f"0::/machine.slice/libpod-{CONTAINER}.scope/container\n",
        f"0::/../../docker-{CONTAINER}.scope\n",
        f"0::/system.slice/containerd.service/{POD}:cri-containerd:{CONTAINER}\n",
        # Version 1: a line for each controller.
        f"12:devices:/docker/{CONTAINER}\n11:memory:/docker/{CONTAINER}\n1:name=systemd:/docker/{CONTAINER}\n0::/\n",
        f"4:memory:/kubepods/burstable/pod7f3e2d1c-0a9b-4c8d-9e7f-1234567890ab/{CONTAINER}\n",
        # Within another container.
        f"0::/docker/{OUTER}/docker/{CONTAINER}\n",
    ],
)
def test_a_container_is_known_by_every_form_of_cgroup(proc: Path, cgroup: str):
    (proc / "7/cgroup").write_text(cgroup)
    assert VisibleProcesses(proc=proc).container_id(7) == CONTAINER


@pytest.mark.parametrize(
    "cgroup",
    ["0::/user.slice\n", f"0::/machine.slice/libpod-conmon-{CONTAINER}.scope\n", f"0::/build/{CONTAINER}00\n", ""],
)
def test_what_is_no_container_is_none(proc: Path, cgroup: str):
    (proc / "7/cgroup").write_text(cgroup)
    assert VisibleProcesses(proc=proc).container_id(7) == ""


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
