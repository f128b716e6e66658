"""Processor time and memory of groups of processes, read from /proc."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Usage:
    """One group: processor seconds since its start, with those of its ended children; current memory."""

    cpu_s: float = 0.0
    rss_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The machine at one time. `busy_s` is processor seconds by processor, `stolen_s` in all, since boot."""

    at_s: float
    groups: Mapping[str, Usage]
    busy_s: Mapping[int, float]
    stolen_s: float


@dataclass(frozen=True, slots=True)
class Footprint:
    """The usage between two snapshots. Shares are of one processor: 1.5 is one and a half."""

    seconds: float
    cpu_s: Mapping[str, float]
    rss_bytes: Mapping[str, int]
    # Programs outside the groups, and time the hypervisor took.
    others_share: float
    stolen_share: float
    busy_share: Mapping[int, float]


def take_snapshot(roots: Mapping[str, int]) -> Snapshot:
    """Take a snapshot of groups: `roots` gives the root process of each; a process belongs to its nearest root."""
    processes = _processes()
    names = {pid: name for name, pid in roots.items()}
    groups = dict.fromkeys(roots, Usage())
    for pid, process in processes.items():
        ancestor = pid
        while ancestor in processes and ancestor not in names:
            ancestor = processes[ancestor].parent
        if name := names.get(ancestor):
            so_far = groups[name]
            groups[name] = Usage(so_far.cpu_s + process.cpu_s, so_far.rss_bytes + process.rss_bytes)
    busy_s, stolen_s = _processors()
    return Snapshot(time.monotonic(), groups, busy_s, stolen_s)


def footprint_between(before: Snapshot, after: Snapshot) -> Footprint:
    """The footprint between two snapshots."""
    seconds = after.at_s - before.at_s
    cpu_s = {name: usage.cpu_s - before.groups[name].cpu_s for name, usage in after.groups.items()}
    busy_s = {cpu: after.busy_s[cpu] - before.busy_s[cpu] for cpu in after.busy_s}
    return Footprint(
        seconds=seconds,
        cpu_s=cpu_s,
        rss_bytes={name: usage.rss_bytes for name, usage in after.groups.items()},
        # The kernel counts ticks of processes and processors separately, so they may differ slightly.
        others_share=max(0.0, sum(busy_s.values()) - sum(cpu_s.values())) / seconds,
        stolen_share=(after.stolen_s - before.stolen_s) / seconds,
        busy_share={cpu: used_s / seconds for cpu, used_s in busy_s.items()},
    )


def pss_bytes(roots: Mapping[str, int]) -> dict[str, int]:
    """Return the proportional set size of each group, in bytes: memory that processes share counts once in the sum."""
    processes = _processes()
    names = {pid: name for name, pid in roots.items()}
    sizes = dict.fromkeys(roots, 0)
    for pid in processes:
        ancestor = pid
        while ancestor in processes and ancestor not in names:
            ancestor = processes[ancestor].parent
        if name := names.get(ancestor):
            sizes[name] += _pss_bytes(pid)
    return sizes


def _pss_bytes(pid: int) -> int:
    # The process may end meanwhile.
    with suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


@dataclass(frozen=True, slots=True)
class _Process:
    parent: int
    cpu_s: float
    rss_bytes: int


def _processes() -> dict[int, _Process]:
    found: dict[int, _Process] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        # A process may end meanwhile.
        with suppress(FileNotFoundError, ProcessLookupError):
            fields = path.read_text().rpartition(")")[2].split()
            ticks = sum(map(int, fields[11:15]))
            found[int(path.parent.name)] = _Process(int(fields[1]), ticks / _TICKS_PER_S, int(fields[21]) * _PAGE_BYTES)
    return found


def _processors() -> tuple[dict[int, float], float]:
    busy_s: dict[int, float] = {}
    stolen_s = 0.0
    for line in Path("/proc/stat").read_text().splitlines():
        name, *counts = line.split()
        if name.startswith("cpu") and name != "cpu":
            user, nice, system, _idle, _waiting, interrupts, soft, stolen = map(int, counts[:8])
            busy_s[int(name[3:])] = (user + nice + system + interrupts + soft) / _TICKS_PER_S
            stolen_s += stolen / _TICKS_PER_S
    return busy_s, stolen_s
