"""`make bench`: what the mesh itself takes, measured around models of known cost.

Starts real meshes whose speech-to-text, language model and voice play `script.toml`, lets people talk with them
(`load.py`, a process of its own), prints a JSON line for each run and puts tables into `docs/latency.md`.
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

from findings import Findings
from footprint import Snapshot, between, snapshot
from report import (
    CLIENT,
    PLAIN_GRPC,
    Row,
    levels_table,
    replace_figures,
    row,
    services_table,
    sessions_held,
    waits_table,
)
from scripted_mesh import PROJECT, ServingMesh, on_cores, serving_mesh
from service_kit.errors import AnchorError, root_cause

HERE = Path(__file__).parent
SCRIPT = HERE / "script.toml"
PAGE = PROJECT / "docs/latency.md"
# From the project.
FLAME = Path("run/flame.svg")
# The scripted reply is spoken from its eighth token on, the first comma.
FIRST_PHRASE_TOKENS = 8
BASE_SESSIONS = 2
LEVELS = (1, 2, 5, 10, 20, 40, 60, 80)
PROFILED_SESSIONS = 10
# More of a core than this, used by others, blurs the figures.
QUIET_SHARE = 0.15


@dataclass(frozen=True, slots=True)
class Cores:
    """Where things run: all of the machine, or the services on one core and their clients on another."""

    services: frozenset[int]
    client: frozenset[int]

    @classmethod
    def all(cls) -> Cores:
        """No rule."""
        every = frozenset(os.sched_getaffinity(0))
        return cls(every, every)

    @classmethod
    def one_each(cls) -> Cores:
        """The first for the services, the second for the client. Ends the program where there is one only."""
        first, *others = sorted(os.sched_getaffinity(0))
        if not others:
            sys.exit("levels with the services on one core need a second one for the client; try --no-pinned")
        return cls(frozenset({first}), frozenset({others[0]}))


def scripted_ms(script: dict[str, Any]) -> float:
    """What the models take from the last voiced sample to the first audio, where speech-to-text answers unprompted."""
    stt, llm, tts = script["stt"], script["llm"], script["tts"]
    first_phrase_ms = llm["first_token_delay_ms"] + (FIRST_PHRASE_TOKENS - 1) * 1000 / llm["tokens_per_second"]
    return stt["final_delay_ms"] + first_phrase_ms + tts["first_audio_delay_ms"]


async def run(series: str, mesh: ServingMesh, sessions: int, seconds: float, cores: Cores) -> Row:
    """Let so many people talk with `mesh`, and print and return what came of it."""
    with on_cores(cores.client):
        client = await asyncio.create_subprocess_exec(
            *(sys.executable, str(HERE / "load.py"), "--url", mesh.url),
            *("--sessions", str(sessions), "--seconds", str(seconds)),
            cwd=PROJECT,
            stdout=asyncio.subprocess.PIPE,
            limit=2**24,
        )
    roots = {**mesh.roots, CLIENT: client.pid}
    try:
        _, before = await _event(client, "measuring", roots)
        found, after = await _event(client, "measured", roots)
        await client.wait()
    finally:
        if client.returncode is None:
            client.kill()
            await client.wait()
    script = tomllib.loads(SCRIPT.read_text("utf-8"))
    result = row(series, sessions, scripted_ms(script), Findings(**found), between(before, after))
    sys.stdout.write(json.dumps(asdict(result) | {"cpu_s": result.cpu_s, "loadavg": os.getloadavg()}) + "\n")
    sys.stdout.flush()
    return result


async def _event(
    client: asyncio.subprocess.Process, name: str, roots: dict[str, int]
) -> tuple[dict[str, Any], Snapshot]:
    """The client's next line, which must be `name`, and how the machine looked then."""
    assert client.stdout is not None
    line = await client.stdout.readline()
    looked = snapshot(roots)
    if not line:
        sys.exit(f"the load client ended with status {await client.wait()}")
    event = json.loads(line)
    if event.pop("event") != name:
        raise ValueError(f"the load client said {line[:100]!r} instead of {name}")
    return event, looked


@asynccontextmanager
async def prompted_script() -> AsyncGenerator[Path]:
    """The script, where speech-to-text answers when it is asked: it does not find the end of speech itself."""
    text = SCRIPT.read_text("utf-8")
    prompted = text.replace('final_after = "last_voiced"', 'final_after = "flush"')
    if prompted == text:
        raise ValueError(f"{SCRIPT} no longer says when speech-to-text answers")
    with tempfile.NamedTemporaryFile("w", suffix=".toml", encoding="utf-8") as file:
        file.write(prompted)
        file.flush()
        yield Path(file.name)


async def measure_base(seconds: float, plain_grpc: bool) -> list[Row]:
    """Two sessions on the whole machine, with both kinds of speech-to-text, and with the simplest end of turn.

    With `plain_grpc`, the first run once more without multiplexing.
    """
    cores = Cores.all()
    async with serving_mesh(SCRIPT, cores.services) as mesh:
        unprompted = await run("STT answers unprompted", mesh, BASE_SESSIONS, seconds, cores)
    async with prompted_script() as script, serving_mesh(script, cores.services) as mesh:
        prompted = await run("STT answers when asked", mesh, BASE_SESSIONS, seconds, cores)
    async with serving_mesh(SCRIPT, cores.services, "pause") as mesh:
        pausing = await run("STT answers unprompted, pause rule", mesh, BASE_SESSIONS, seconds, cores)
    rows = [unprompted, prompted, pausing]
    if plain_grpc:
        async with serving_mesh(SCRIPT, cores.services, multiplex=False) as mesh:
            series = f"STT answers unprompted, {PLAIN_GRPC}"
            rows.append(await run(series, mesh, BASE_SESSIONS, seconds, cores))
    return rows


async def measure_levels(levels: Sequence[int], seconds: float, cores: Cores, multiplex: bool = True) -> list[Row]:
    """More and more sessions with one mesh."""
    series = "level" if multiplex else PLAIN_GRPC
    async with serving_mesh(SCRIPT, cores.services, multiplex=multiplex) as mesh:
        return [await run(series, mesh, sessions, seconds, cores) for sessions in levels]


async def profile(seconds: float) -> None:
    """Draw where the orchestrator spends its time with ten people, as a flame graph."""
    beside_python = Path(sys.executable).with_name("py-spy")
    sampler = shutil.which("py-spy") or (str(beside_python) if beside_python.exists() else None)
    if sampler is None:
        sys.exit("py-spy is not here; install it (pip install py-spy) and have it on PATH")
    (PROJECT / FLAME).parent.mkdir(exist_ok=True)
    cores = Cores.all()
    async with serving_mesh(SCRIPT, cores.services) as mesh, asyncio.TaskGroup() as tasks:
        tasks.create_task(run("profile", mesh, PROFILED_SESSIONS, seconds, cores))
        sampling = await asyncio.create_subprocess_exec(
            *(sampler, "record", "--pid", str(mesh.roots["orchestrator"]), "--duration", str(round(seconds))),
            *("--rate", "250", "--gil", "--output", str(FLAME)),
            cwd=PROJECT,
            stdout=sys.stderr,
        )
        if await sampling.wait() != 0:
            raise OSError("py-spy failed; it must be allowed to look into processes (root, or CAP_SYS_PTRACE)")
    sys.stdout.write(f"{FLAME}\n")


def figures(base: Sequence[Row], levels: Sequence[Row], plain_levels: Sequence[Row], pinned: bool) -> str:
    """The text of the page between its marks."""
    (level_base,) = (level for level in levels if level.sessions == BASE_SESSIONS)
    where = "all services on one core, the client on another" if pinned else "on all cores"
    options = shlex.join(sys.argv[1:])
    command = f'make bench BENCH="{options}"' if options else "make bench"
    now = time.strftime("%Y-%m-%d", time.gmtime())
    return "\n\n".join(
        (
            f"Measured {now} with `{command}` on {machine()}.{disturbance([*base, *levels, *plain_levels])}",
            waits_table(base),
            services_table(base[0], levels[-1]),
            f"Levels, {where}. **{sessions_held(levels, level_base)} sessions hold.**",
            levels_table([*levels, *plain_levels], level_base),
        )
    )


def disturbance(rows: Sequence[Row]) -> str:
    """A warning when the machine was not left alone; empty when it was."""
    most = max(row.others_share + row.stolen_share for row in rows)
    return f" **Others took up to {most:.0%} of a core meanwhile: measure again.**" if most > QUIET_SHARE else ""


def machine() -> str:
    """This machine in a few words."""
    models = [line.partition(":")[2] for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line]
    return f"{os.cpu_count()} × {(models or [platform.machine()])[0].strip()}, Python {platform.python_version()}"


async def bench(options: argparse.Namespace) -> None:
    """All runs that the options ask for."""
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
        replace_figures(PAGE, figures(base, rows, plain, options.pinned))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--levels", type=lambda text: [int(level) for level in text.split(",")], default=LEVELS)
    parser.add_argument("--seconds", type=float, default=60, help="length of one run")
    parser.add_argument("--pinned", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument(
        "--plain-grpc", action="store_true", help="add rows without multiplexing (ANCHOR_MULTIPLEX=false)"
    )
    parser.add_argument("--quick", action="store_true", help="two sessions only; leave the page as it is")
    parser.add_argument("--profile", action="store_true", help="draw a flame graph of the orchestrator with py-spy")
    options = parser.parse_args()
    try:
        asyncio.run(bench(options))
    except* AnchorError as failure:
        sys.exit(str(root_cause(failure)))


if __name__ == "__main__":
    main()
