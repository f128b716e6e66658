"""`make soak`: a real mesh under load and faults for a long time, and whether anything grows.

Several people talk with the mesh, in speech, by REST and on lines that break, while services are killed at random
(the seed is printed, and `--seed` repeats it). The orchestrator is killed in the first quarter only, so that its memory
is followed over the other three. Judged are the last three quarters: the resident memory of each service may grow by
less than 5 MB an hour, with 95 % confidence; a minute after the load has ended, tasks, threads and descriptors must be
at their level before it. A run of less than an hour prints its interval, which is too wide to judge.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import random
import signal
import sys
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
from anchor_cli.client.audio_files import load_clip
from anchor_cli.client.session_client import open_session
from anchor_cli.client.turn import run_turn
from bench_mesh import PROJECT, ServingMesh, real_mesh
from callers import TURN_WITHIN_S, Outcomes, ask_by_rest, speak, tear_lines
from slope import Slope, fit_slope, minute_minima
from vitals import Vitals, VitalsLog, VitalsReader

MB = 1_000_000
MAX_MB_PER_HOUR = 5.0
# A shorter run cannot tell growth from warm-up.
MIN_JUDGED_MINUTES = 60.0
# Of each life of a process: caches fill, and threads start.
WARM_UP_S = 120.0
# How long after the load the mesh is at rest: connections have closed, sessions have ended.
REST_S = 60.0
# After the first question.
SETTLED_S = 5.0
# Seconds between two kills, before and after the first quarter.
EARLY_FAULTS_S, LATER_FAULTS_S = (30.0, 60.0), (120.0, 300.0)
READY_WITHIN_S = 60.0
# What may remain above the idle level. The pool of asyncio starts threads when they are first needed, and keeps them.
ALLOWED = {"tasks": 2, "threads": (os.cpu_count() or 1) + 6, "descriptors": 5}
ORCHESTRATOR = "orchestrator"


def main() -> None:
    """Run the soak and print the report. Exits with 1 when something grows, or nobody was answered."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=MIN_JUDGED_MINUTES, help="how long the load lasts")
    parser.add_argument("--voices", type=int, default=2, help="people who ask aloud at the same time")
    parser.add_argument("--seed", type=int, default=None, help="of the load and the faults; default: a random one")
    parser.add_argument("--no-faults", action="store_true", help="kill nothing")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of the mesh")
    arguments = parser.parse_args()
    seed = random.SystemRandom().randrange(2**32) if arguments.seed is None else arguments.seed
    _print(f"soak of {arguments.minutes:g} min with {arguments.voices} voices, --seed {seed}")
    soaked = asyncio.run(run_soak(arguments, seed))
    _print(soaked.report())
    if problems := soaked.problems():
        sys.exit("\n".join(problems))


@dataclass(frozen=True, slots=True)
class Soaked:
    """A finished soak: `before` and `after` are the mesh at rest, the slopes are of the last three quarters."""

    minutes: float
    outcomes: Outcomes
    kills: Mapping[str, int]
    before: Mapping[str, Vitals]
    peak_bytes: Mapping[str, int]
    after: Mapping[str, Vitals]
    slopes: Mapping[str, Slope]
    pss_bytes: Mapping[str, int]

    @property
    def is_judged(self) -> bool:
        """Whether the run was long enough to judge the slopes."""
        return self.minutes >= MIN_JUDGED_MINUTES

    def report(self) -> str:
        """The tables, as Markdown."""
        lines = ["", "| outcome | count |", "|---|---|"]
        lines += [f"| {what} | {count} |" for what, count in sorted(self.outcomes.counts.items())]
        lines += [f"| {name} killed | {count} |" for name, count in sorted(self.kills.items())]
        lines += [f"| failed with no fault in the 30 s before | {len(self.outcomes.unexplained)} |", ""]
        lines += [f"- {failure}" for failure in self.outcomes.unexplained[:20]]
        columns = ("service", "RSS before MB", "peak", "after", "PSS", "MB/h", "95 % interval", "minutes", "lives")
        lines += ["", f"| {' | '.join((*columns, 'tasks', 'threads', 'descriptors'))} |", "|---" * 12 + "|"]
        for name, slope in self.slopes.items():
            before, after = self.before[name], self.after.get(name)
            cells = [name, _mb(before.rss_bytes), _mb(self.peak_bytes[name]), _mb(after.rss_bytes if after else 0)]
            cells += [_mb(self.pss_bytes.get(name, 0)), f"{slope.per_hour / MB:+.1f}"]
            cells += [f"{_bound(slope.lower)} to {_bound(slope.upper)}", str(slope.points), str(slope.lives)]
            cells += [f"{getattr(before, kind)} → {getattr(after, kind, None)}" for kind in ALLOWED]
            lines.append(f"| {' | '.join(cells)} |")
        if not self.is_judged:
            lines += ["", f"{self.minutes:g} min: the interval is too wide to judge; {MIN_JUDGED_MINUTES:g} are."]
        return "\n".join(lines)

    def problems(self) -> list[str]:
        """What grows, or did not work at all."""
        found = [] if self.outcomes.counts["spoken questions answered"] else ["no spoken question was answered"]
        for name, slope in self.slopes.items():
            if self.is_judged and not slope.upper < MAX_MB_PER_HOUR * MB:
                limit = f"the limit is {MAX_MB_PER_HOUR:g}"
                found.append(f"{name} may grow by {_bound(slope.upper)} MB an hour; {limit}")
            if name not in self.after:
                found.append(f"{name} does not run")
                continue
            for kind, allowed in ALLOWED.items():
                before, after = getattr(self.before[name], kind), getattr(self.after[name], kind)
                if before is None or after is None or after > before + allowed:
                    found.append(f"{name} has {after} {kind} at rest, {before} before the load")
        return found


async def run_soak(arguments: argparse.Namespace, seed: int) -> Soaked:
    """Run the load for the given time and return what was measured."""
    environment = {"ANCHOR_LOG_LEVEL": "WARNING", **dict(setting.split("=", 1) for setting in arguments.set)}
    clips = [load_clip(path) for path in sorted((PROJECT / "content/questions").glob("*.wav"))]
    outcomes, log, kills = Outcomes(), VitalsLog(), dict[str, int]()
    async with real_mesh(environment) as mesh, httpx.AsyncClient(trust_env=False) as http:
        reader = VitalsReader(mesh, http)
        await _open_channels(mesh, clips[0])
        before = await reader.read()
        began_s = time.monotonic()
        async with _loaded(mesh, arguments.voices, clips, seed, outcomes):
            watching = asyncio.create_task(reader.run(log))
            killing = None
            if not arguments.no_faults:
                killing = asyncio.create_task(_kill_services(reader, arguments.minutes * 60, seed, outcomes, kills))
            await asyncio.sleep(arguments.minutes * 60)
            for task in (watching, killing):
                if task is not None:
                    task.cancel()
                    await asyncio.wait((task,))
                    if not task.cancelled():
                        task.result()
        await asyncio.sleep(REST_S)
        after = await reader.read()
    quarter_s = began_s + arguments.minutes * 15
    return Soaked(
        arguments.minutes,
        outcomes,
        kills,
        before,
        {name: round(max(sample.value for sample in samples)) for name, samples in log.rss.items()},
        after,
        {
            name: fit_slope(minute_minima([each for each in samples if each.at_s >= quarter_s], _warm_up_s(name)))
            for name, samples in log.rss.items()
        },
        {name: round(samples[-1].value) for name, samples in log.pss.items()},
    )


async def _open_channels(mesh: ServingMesh, clip: bytes) -> None:
    """Ask one question aloud: the channels between the services open with it, and stay open."""
    async with open_session(mesh.url) as session, asyncio.timeout(TURN_WITHIN_S):
        await run_turn(session, clip, 1.0)
    await asyncio.sleep(SETTLED_S)


def _warm_up_s(name: str) -> float:
    """The orchestrator has warmed up in the first quarter; the others begin again after a kill."""
    return 0.0 if name == ORCHESTRATOR else WARM_UP_S


@asynccontextmanager
async def _loaded(
    mesh: ServingMesh, voices: int, clips: Sequence[bytes], seed: int, outcomes: Outcomes
) -> AsyncGenerator[None]:
    """Put load on the mesh inside the context."""
    address = mesh.settings.address
    callers = [speak(mesh.url, clips, random.Random(f"{seed} voice {number}"), outcomes) for number in range(voices)]
    callers.append(ask_by_rest(address, random.Random(f"{seed} REST"), outcomes))
    callers.append(tear_lines(mesh.url, random.Random(f"{seed} lines"), outcomes))
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(caller) for caller in callers]
        yield
        for task in tasks:
            task.cancel()


async def _kill_services(
    reader: VitalsReader, seconds: float, seed: int, outcomes: Outcomes, kills: dict[str, int]
) -> None:
    """Kill a service now and then, each after the one before serves again; the last one two minutes before the end."""
    rng, loop = random.Random(f"{seed} faults"), asyncio.get_running_loop()
    began_s = loop.time()
    while True:
        early = loop.time() - began_s < seconds / 4
        await asyncio.sleep(rng.uniform(*(EARLY_FAULTS_S if early else LATER_FAULTS_S)))
        if loop.time() - began_s > seconds - WARM_UP_S:
            return
        processes = await reader.read_processes()
        killable = sorted(name for name in processes if name != ORCHESTRATOR or loop.time() - began_s < seconds / 4)
        name = rng.choice(killable)
        outcomes.last_fault_s = loop.time()
        os.kill(processes[name], signal.SIGKILL)
        kills[name] = kills.get(name, 0) + 1
        back_s = await _wait_ready(reader, name, processes[name])
        outcomes.last_fault_s = loop.time()
        _print(f"{(loop.time() - began_s) / 60:5.1f} min: {name} killed, back after {back_s:.1f} s")


async def _wait_ready(reader: VitalsReader, name: str, killed: int) -> float:
    """Wait until the successor of a killed process answers; returns how long that took, in seconds."""
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    async with asyncio.timeout(READY_WITHIN_S):
        while True:
            vitals = (await reader.read()).get(name)
            if vitals is not None and vitals.pid != killed and vitals.tasks is not None:
                return loop.time() - began_s
            await asyncio.sleep(0.2)


def _mb(size: int) -> str:
    return f"{size / MB:.0f}"


def _bound(per_hour: float) -> str:
    return f"{per_hour / MB:+.1f}" if math.isfinite(per_hour) else "unknown"


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
