"""`make bench`: the overhead of the mesh, measured around models of known delay.

Starts real meshes whose STT, LLM and TTS play `script.toml`, runs simulated users against them (`load.py`, in a
separate process), prints a JSON line for each run and writes tables into `docs/latency.md`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import shlex
import shutil
import sys
import tempfile
import time
import tomllib
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench_mesh import PROJECT, ServingMesh, on_cores, serving_mesh
from footprint import Snapshot, footprint_between, take_snapshot
from load_result import LoadResult
from report import (
    CLIENT,
    PLAIN_GRPC,
    Row,
    levels_table,
    make_row,
    max_sessions,
    replace_figures,
    services_table,
    waits_table,
)
from service_kit.errors import AnchorError, root_cause

HERE = Path(__file__).parent
SCRIPT = HERE / "script.toml"
PAGE = PROJECT / "docs/latency.md"
# Relative to the project.
FLAME = Path("run/flame.svg")
# The scripted reply is spoken from its eighth token on, the first comma.
FIRST_PHRASE_TOKENS = 8
BASE_SESSIONS = 2
LEVELS = (1, 2, 5, 10, 20, 40, 60, 80)
PROFILED_SESSIONS = 10
# A quiet room at the microphone of a laptop, -64 dBFS; the other runs send zeros while nobody speaks.
ROOM_NOISE_RMS = 20.0
# Other programs that use more of a core than this distort the results.
QUIET_SHARE = 0.15


@dataclass(frozen=True, slots=True)
class Cores:
    """The cores to use: all, or one for the services and another for the client."""

    services: frozenset[int]
    client: frozenset[int]

    @classmethod
    def all(cls) -> Cores:
        """All cores for both."""
        every = frozenset(os.sched_getaffinity(0))
        return cls(every, every)

    @classmethod
    def one_each(cls) -> Cores:
        """The first for the services, the second for the client. Exits when there is only one."""
        first, *others = sorted(os.sched_getaffinity(0))
        if not others:
            sys.exit("levels with the services on one core need a second one for the client; try --no-pinned")
        return cls(frozenset({first}), frozenset({others[0]}))


def model_delay_ms(script: dict[str, Any]) -> float:
    """The models' delay from the last voiced sample to the first audio, with an STT that answers unprompted."""
    stt, llm, tts = script["stt"], script["llm"], script["tts"]
    first_phrase_ms = llm["first_token_delay_ms"] + (FIRST_PHRASE_TOKENS - 1) * 1000 / llm["tokens_per_second"]
    return stt["final_delay_ms"] + first_phrase_ms + tts["first_audio_delay_ms"]


async def run_load(
    series: str, mesh: ServingMesh, sessions: int, seconds: float, cores: Cores, noise_rms: float = 0.0
) -> Row:
    """Run so many simulated users against `mesh`; print and return the result."""
    with on_cores(cores.client):
        client = await asyncio.create_subprocess_exec(
            *(sys.executable, str(HERE / "load.py"), "--url", mesh.url),
            *("--sessions", str(sessions), "--seconds", str(seconds), "--noise-rms", str(noise_rms)),
            cwd=PROJECT,
            stdout=asyncio.subprocess.PIPE,
            limit=2**24,
        )
    roots = {**mesh.roots, CLIENT: client.pid}
    try:
        _, before = await _read_event(client, "measuring", roots)
        measured, after = await _read_event(client, "measured", roots)
        await client.wait()
    finally:
        if client.returncode is None:
            client.kill()
            await client.wait()
    script = tomllib.loads(SCRIPT.read_text("utf-8"))
    result = make_row(
        series, sessions, model_delay_ms(script), LoadResult(**measured), footprint_between(before, after)
    )
    sys.stdout.write(json.dumps(asdict(result) | {"cpu_s": result.cpu_s, "loadavg": os.getloadavg()}) + "\n")
    sys.stdout.flush()
    return result


async def _read_event(
    client: asyncio.subprocess.Process, name: str, roots: dict[str, int]
) -> tuple[dict[str, Any], Snapshot]:
    """Read the client's next line, which must be `name`, and take a snapshot. Raises ValueError on another line."""
    assert client.stdout is not None
    line = await client.stdout.readline()
    taken = take_snapshot(roots)
    if not line:
        sys.exit(f"the load client exited with status {await client.wait()}")
    event = json.loads(line)
    if event.pop("event") != name:
        raise ValueError(f"the load client sent {line[:100]!r} instead of {name}")
    return event, taken


@asynccontextmanager
async def prompted_script() -> AsyncGenerator[Path]:
    """The script with an STT that answers only a flush, and does not find the end of speech itself."""
    text = SCRIPT.read_text("utf-8")
    prompted = text.replace('final_after = "last_voiced"', 'final_after = "flush"')
    if prompted == text:
        raise ValueError(f"{SCRIPT} does not set final_after to last_voiced")
    with tempfile.NamedTemporaryFile("w", suffix=".toml", encoding="utf-8") as file:
        file.write(prompted)
        file.flush()
        yield Path(file.name)


async def measure_base(seconds: float, plain_grpc: bool) -> list[Row]:
    """Two sessions on all cores: with both kinds of speech-to-text, in noise, and with the simplest end of turn.

    With `plain_grpc`, the first run once more without multiplexing.
    """
    cores = Cores.all()
    async with serving_mesh(SCRIPT, cores.services) as mesh:
        unprompted = await run_load("STT answers unprompted", mesh, BASE_SESSIONS, seconds, cores)
    async with prompted_script() as script, serving_mesh(script, cores.services) as mesh:
        prompted = await run_load("STT answers when asked", mesh, BASE_SESSIONS, seconds, cores)
        noisy_series = "STT answers when asked, room noise"
        noisy = await run_load(noisy_series, mesh, BASE_SESSIONS, seconds, cores, ROOM_NOISE_RMS)
    async with serving_mesh(SCRIPT, cores.services, "pause") as mesh:
        pausing = await run_load("STT answers unprompted, pause rule", mesh, BASE_SESSIONS, seconds, cores)
    rows = [unprompted, prompted, noisy, pausing]
    if plain_grpc:
        async with serving_mesh(SCRIPT, cores.services, multiplex=False) as mesh:
            series = f"STT answers unprompted, {PLAIN_GRPC}"
            rows.append(await run_load(series, mesh, BASE_SESSIONS, seconds, cores))
    return rows


async def measure_levels(levels: Sequence[int], seconds: float, cores: Cores, multiplex: bool = True) -> list[Row]:
    """Run increasing numbers of sessions against one mesh."""
    series = "level" if multiplex else PLAIN_GRPC
    async with serving_mesh(SCRIPT, cores.services, multiplex=multiplex) as mesh:
        return [await run_load(series, mesh, sessions, seconds, cores) for sessions in levels]


async def profile(seconds: float) -> None:
    """Write a flame graph of the orchestrator with ten sessions."""
    beside_python = Path(sys.executable).with_name("py-spy")
    sampler = shutil.which("py-spy") or (str(beside_python) if beside_python.exists() else None)
    if sampler is None:
        sys.exit("py-spy is not installed: pip install py-spy")
    (PROJECT / FLAME).parent.mkdir(exist_ok=True)
    cores = Cores.all()
    async with serving_mesh(SCRIPT, cores.services) as mesh, asyncio.TaskGroup() as tasks:
        tasks.create_task(run_load("profile", mesh, PROFILED_SESSIONS, seconds, cores))
        sampling = await asyncio.create_subprocess_exec(
            *(sampler, "record", "--pid", str(mesh.roots["orchestrator"]), "--duration", str(round(seconds))),
            *("--rate", "250", "--gil", "--output", str(FLAME)),
            cwd=PROJECT,
            stdout=sys.stderr,
        )
        if await sampling.wait() != 0:
            raise OSError("py-spy failed; it needs permission to read processes (root, or CAP_SYS_PTRACE)")
    sys.stdout.write(f"{FLAME}\n")


def page_figures(base: Sequence[Row], levels: Sequence[Row], plain_levels: Sequence[Row], pinned: bool) -> str:
    """The text to put between the marks of the page."""
    (level_base,) = (level for level in levels if level.sessions == BASE_SESSIONS)
    where = "all services on one core, the client on another" if pinned else "on all cores"
    options = shlex.join(sys.argv[1:])
    command = f'make bench BENCH="{options}"' if options else "make bench"
    now = time.strftime("%Y-%m-%d", time.gmtime())
    return "\n\n".join(
        (
            f"Measured {now} with `{command}` on {describe_machine()}."
            + disturbance_warning([*base, *levels, *plain_levels]),
            waits_table(base),
            services_table(base[0], levels[-1]),
            f"Levels, {where}. **{max_sessions(levels, level_base)} sessions hold.**",
            levels_table([*levels, *plain_levels], level_base),
        )
    )


def disturbance_warning(rows: Sequence[Row]) -> str:
    """A warning when other programs used the machine during the runs; else empty."""
    most = max(row.others_share + row.stolen_share for row in rows)
    return f" **Others took up to {most:.0%} of a core meanwhile: measure again.**" if most > QUIET_SHARE else ""


def describe_machine() -> str:
    """Processor and Python version of this machine."""
    models = [line.partition(":")[2] for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line]
    return f"{os.cpu_count()} × {(models or [platform.machine()])[0].strip()}, Python {platform.python_version()}"


async def bench(options: argparse.Namespace) -> None:
    """Run the measurements that the options select."""
    if options.profile:
        await profile(options.seconds)
    elif options.quick:
        await measure_base(options.seconds, options.plain_grpc)
    else:
        levels = sorted({*options.levels, BASE_SESSIONS})
        cores = Cores.one_each() if options.pinned else Cores.all()
        base = await measure_base(options.seconds, options.plain_grpc)
        rows = await measure_levels(levels, options.seconds, cores)
        plain = await measure_levels(levels, options.seconds, cores, multiplex=False) if options.plain_grpc else []
        replace_figures(PAGE, page_figures(base, rows, plain, options.pinned))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--levels", type=lambda text: [int(level) for level in text.split(",")], default=LEVELS)
    parser.add_argument("--seconds", type=float, default=60, help="length of one run")
    parser.add_argument("--pinned", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument(
        "--plain-grpc", action="store_true", help="add rows without multiplexing (ANCHOR_MULTIPLEX=false)"
    )
    parser.add_argument("--quick", action="store_true", help="two sessions only; leave the page unchanged")
    parser.add_argument("--profile", action="store_true", help="draw a flame graph of the orchestrator with py-spy")
    options = parser.parse_args()
    try:
        asyncio.run(bench(options))
    except* AnchorError as failure:
        sys.exit(str(root_cause(failure)))


if __name__ == "__main__":
    main()
