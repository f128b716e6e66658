"""Process lookups in a fake /proc."""

from __future__ import annotations

from pathlib import Path

import pytest
from gpu_monitor.memory.processes import HOST_PID_NAMESPACE, ProcessLookup

CONTAINER = "3f2a" * 16


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """The host's /proc, in which process 7 runs in a container."""
    (tmp_path / "self/ns").mkdir(parents=True)
    (tmp_path / "self/ns/pid").symlink_to(HOST_PID_NAMESPACE)
    (tmp_path / "7").mkdir()
    (tmp_path / "7/comm").write_text("python3\n")
    (tmp_path / "7/cmdline").write_text("python3\0-m\0stt_service\0")
    (tmp_path / "7/cgroup").write_text(f"0::/system.slice/docker-{CONTAINER}.scope\n")
    return tmp_path


def test_python_service_is_named_by_its_package(proc: Path):
    processes = ProcessLookup(proc=proc)
    assert (processes.name(7), processes.service(7)) == ("python3", "stt-service")


def test_service_name_is_the_top_level_package(proc: Path):
    (proc / "7/cmdline").write_text("python3\0-m\0vllm.entrypoints.openai.api_server\0--port\08000\0")
    assert ProcessLookup(proc=proc).service(7) == "vllm"


@pytest.mark.parametrize("command", ["/usr/bin/ollama\0serve\0", "grep\0-m\05\0", "python3\0-m\0", ""])
def test_other_process_is_named_by_its_container(proc: Path, command: str):
    (proc / "7/cmdline").write_text(command)
    assert ProcessLookup(proc=proc).service(7) == CONTAINER[:12]


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
        # Nested containers.
        f"0::/docker/{OUTER}/docker/{CONTAINER}\n",
    ],
)
def test_container_id_is_found_in_every_cgroup_form(proc: Path, cgroup: str):
    (proc / "7/cgroup").write_text(cgroup)
    assert ProcessLookup(proc=proc).container_id(7) == CONTAINER


@pytest.mark.parametrize(
    "cgroup",
    ["0::/user.slice\n", f"0::/machine.slice/libpod-conmon-{CONTAINER}.scope\n", f"0::/build/{CONTAINER}00\n", ""],
)
def test_process_outside_a_container_has_no_container_id(proc: Path, cgroup: str):
    (proc / "7/cgroup").write_text(cgroup)
    assert ProcessLookup(proc=proc).container_id(7) == ""


def test_process_outside_a_container_has_no_service(proc: Path):
    (proc / "7/cmdline").write_text("/usr/lib/xorg/Xorg\0")
    (proc / "7/cgroup").write_text("0::/user.slice\n")
    assert ProcessLookup(proc=proc).service(7) == ""


def test_ended_process_has_no_name(proc: Path):
    processes = ProcessLookup(proc=proc)
    assert (processes.name(8), processes.service(8)) == ("", "")


def test_host_pids_are_not_looked_up_in_a_pid_namespace(proc: Path):
    (proc / "self/ns/pid").unlink()
    (proc / "self/ns/pid").symlink_to("pid:[4026533000]")
    assert ProcessLookup(proc=proc).name(7) == ""
    assert ProcessLookup(host_pids=True, proc=proc).name(7) == "python3"


def test_lookup_is_off_when_the_namespace_is_unknown(tmp_path: Path):
    (tmp_path / "7").mkdir()
    (tmp_path / "7/comm").write_text("python3\n")
    assert ProcessLookup(proc=tmp_path).name(7) == ""
