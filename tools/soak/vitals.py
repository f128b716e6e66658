"""What the services of a running mesh hold: memory, threads, descriptors, and tasks of their event loops."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from anchor_cli.mesh.programs import mesh_programs
from bench_mesh import ServingMesh
from footprint import pss_bytes, take_snapshot
from prometheus_client.parser import text_string_to_metric_families
from service_kit.addresses import authority
from slope import Sample

SAMPLE_EVERY_S = 5.0
# Reading the proportional size takes the kernel milliseconds for each process.
PSS_EVERY_S = 60.0


@dataclass(frozen=True, slots=True)
class Vitals:
    """One service at one time. Memory is that of its process and its children, the rest that of its process."""

    pid: int
    rss_bytes: int
    threads: int
    descriptors: int
    # None while it does not answer.
    tasks: int | None


@dataclass
class VitalsLog:
    """All samples of a run: the resident size of each service, and its proportional size, by name."""

    rss: dict[str, list[Sample]] = field(default_factory=lambda: defaultdict(list))
    pss: dict[str, list[Sample]] = field(default_factory=lambda: defaultdict(list))
    last: Mapping[str, Vitals] = field(default_factory=dict)


class VitalsReader:
    """Reads the vitals of a mesh, whose services may be restarted meanwhile."""

    def __init__(self, mesh: ServingMesh, http: httpx.AsyncClient) -> None:
        self._mesh = mesh
        self._http = http
        programs = mesh_programs(mesh.settings)
        self._urls = {
            program.name: f"http://{authority('127.0.0.1', program.http_port)}/metrics" for program in programs
        }

    async def read_processes(self) -> dict[str, int]:
        """The process of each service that has one now."""
        return {state.name: state.pid for state in await self._mesh.supervisor.fetch_states() if state.pid}

    async def read(self) -> dict[str, Vitals]:
        """The vitals of each service that has a process now."""
        processes = await self.read_processes()
        groups = take_snapshot(processes).groups
        tasks = await asyncio.gather(*(self._read_tasks(name) for name in processes))
        vitals: dict[str, Vitals] = {}
        for (name, pid), count in zip(processes.items(), tasks, strict=True):
            proc = Path(f"/proc/{pid}")
            try:
                threads, descriptors = (len(list((proc / kind).iterdir())) for kind in ("task", "fd"))
            except OSError:
                # It ended meanwhile.
                continue
            vitals[name] = Vitals(pid, groups[name].rss_bytes, threads, descriptors, count)
        return vitals

    async def run(self, log: VitalsLog) -> None:
        """Add samples to `log` until cancelled."""
        next_pss_s = time.monotonic()
        while True:
            now_s = time.monotonic()
            log.last = await self.read()
            for name, vitals in log.last.items():
                log.rss[name].append(Sample(now_s, vitals.rss_bytes, vitals.pid))
            if now_s >= next_pss_s:
                next_pss_s += PSS_EVERY_S
                processes = {name: vitals.pid for name, vitals in log.last.items()}
                for name, size in (await asyncio.to_thread(pss_bytes, processes)).items():
                    log.pss[name].append(Sample(now_s, size, processes[name]))
            await asyncio.sleep(SAMPLE_EVERY_S)

    async def _read_tasks(self, name: str) -> int | None:
        try:
            text = (await self._http.get(self._urls[name], timeout=2)).text
        except httpx.HTTPError:
            return None
        values = [
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == "anchor_tasks"
        ]
        return round(values[0]) if values else None
