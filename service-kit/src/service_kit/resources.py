"""The cores and the memory that this process may use: affinity and control groups limit those of the machine."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# Above this, a limit of control groups version 1 means "none": the largest multiple of a page in 63 bits.
_NO_LIMIT_BYTES = 1 << 60


@dataclass(frozen=True, slots=True)
class MachineResources:
    """What this process may use, of what the machine has. `quota` is in cores; None without one."""

    machine_cores: int
    affinity: int
    quota: float | None
    machine_memory_bytes: int
    memory_limit_bytes: int | None

    @property
    def cores(self) -> int:
        """Whole cores that may be busy at a time, at least one."""
        return max(1, min(self.affinity, math.floor(self.quota) if self.quota is not None else self.affinity))

    @property
    def memory_bytes(self) -> int:
        """Memory that may be used."""
        return min(self.machine_memory_bytes, self.memory_limit_bytes or self.machine_memory_bytes)

    def describe(self) -> str:
        """Cores and memory, with what limits them."""
        limits = []
        if self.affinity < self.machine_cores:
            limits.append(f"the affinity allows {self.affinity}")
        if self.quota is not None:
            limits.append(f"the quota {self.quota:g}")
        cores = f"{self.cores} of {self.machine_cores} cores" + (f" ({', '.join(limits)})" if limits else "")
        memory = f"{self.memory_bytes / 2**30:.1f} GiB of memory"
        if self.memory_bytes < self.machine_memory_bytes:
            memory += f" (a limit; the machine has {self.machine_memory_bytes / 2**30:.1f})"
        return f"{cores}, {memory}"


def read_resources(cgroups: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> MachineResources:
    """The resources of this process. `cgroups` is the mount of the control groups, `own` names those of the process."""
    machine_cores = os.cpu_count() or 1
    # macOS has neither affinity nor control groups.
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else machine_cores
    folders = list(_own_folders(cgroups, own))
    quotas = [quota for folder in folders if (quota := _quota(folder)) is not None]
    limits = [limit for folder in folders if (limit := _memory_limit(folder)) is not None]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return MachineResources(machine_cores, affinity, min(quotas, default=None), memory, min(limits, default=None))


def _own_folders(cgroups: Path, own: Path) -> Iterator[Path]:
    """The folders of the process's control groups and of all their parents, in versions 2 and 1."""
    yield from (cgroups, cgroups / "cpu", cgroups / "memory")
    for line in _read(own).splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        for controller in controllers.split(",") if controllers else [""]:
            folder = cgroups / controller
            for name in Path(path).parts[1:]:
                folder /= name
                yield folder


def _quota(folder: Path) -> float | None:
    """The cores that a control group may keep busy; None without a quota."""
    quota, _, period = _read(folder / "cpu.max").strip().partition(" ")
    if not quota:
        quota = _read(folder / "cpu.cfs_quota_us").strip()
        period = _read(folder / "cpu.cfs_period_us").strip()
    if not (quota.isdecimal() and period.isdecimal() and int(period)):
        return None
    return int(quota) / int(period)


def _memory_limit(folder: Path) -> int | None:
    limit = _read(folder / "memory.max").strip() or _read(folder / "memory.limit_in_bytes").strip()
    return int(limit) if limit.isdecimal() and int(limit) < _NO_LIMIT_BYTES else None


def _read(path: Path) -> str:
    """The text of a file of the kernel; empty when there is none, as on other systems."""
    try:
        return path.read_text("ascii")
    except OSError:
        return ""
