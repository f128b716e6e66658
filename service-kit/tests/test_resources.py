"""Cores and memory under affinity and control groups."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from service_kit.resources import MachineResources, read_resources

GIB = 2**30


def write(folder: Path, **files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("_", ".", 1)).write_text(text + "\n")
    return folder


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "own"
    path.write_text("0::/system.slice/anchor.service\n")
    return path


def test_machine_without_control_groups_is_used_as_a_whole(tmp_path: Path) -> None:
    found = read_resources(tmp_path / "none", tmp_path / "none")
    assert found.cores == len(os.sched_getaffinity(0))
    assert (found.quota, found.memory_limit_bytes) == (None, None)
    assert found.memory_bytes == found.machine_memory_bytes > 0


def test_tightest_quota_of_all_parents_counts(tmp_path: Path, own: Path) -> None:
    write(tmp_path / "system.slice", cpu_max="150000 100000", memory_max="max")
    write(tmp_path / "system.slice/anchor.service", cpu_max="max 100000", memory_max=str(64 * 2**20))
    found = read_resources(tmp_path, own)
    assert (found.quota, found.cores) == (1.5, 1)
    assert found.memory_bytes == 64 * 2**20


def test_control_groups_of_version_1_count(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.write_text("4:memory:/docker/a\n2:cpu,cpuacct:/docker/a\n")
    (tmp_path / "cpu/docker/a").mkdir(parents=True)
    (tmp_path / "cpu/docker/a/cpu.cfs_quota_us").write_text("100000\n")
    (tmp_path / "cpu/docker/a/cpu.cfs_period_us").write_text("100000\n")
    (tmp_path / "memory/docker/a").mkdir(parents=True)
    (tmp_path / "memory/docker/a/memory.limit_in_bytes").write_text("1073741824\n")
    (tmp_path / "memory/memory.limit_in_bytes").write_text("9223372036854771712\n")
    found = read_resources(tmp_path, own)
    assert (found.quota, found.memory_limit_bytes) == (1.0, GIB)


@pytest.mark.parametrize("text", ["", "max", "-1", "0 0", "x 100000"])
def test_unreadable_quota_is_no_quota(tmp_path: Path, own: Path, text: str) -> None:
    write(tmp_path, cpu_max=text)
    assert read_resources(tmp_path, own).quota is None


def test_quota_below_one_core_is_one_core() -> None:
    assert MachineResources(8, 8, 0.5, GIB, None).cores == 1


@pytest.mark.parametrize(
    ("resources", "text"),
    [
        (MachineResources(2, 2, None, 8 * GIB, None), "2 of 2 cores, 8.0 GiB of memory"),
        (
            MachineResources(16, 8, 2.5, 32 * GIB, 4 * GIB),
            "2 of 16 cores (the affinity allows 8, the quota 2.5), 4.0 GiB of memory (a limit; the machine has 32.0)",
        ),
    ],
)
def test_description_names_every_limit(resources: MachineResources, text: str) -> None:
    assert resources.describe() == text
