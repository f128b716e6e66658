"""`make bench-overload`: more callers than places. Who is admitted must be answered as usual, the others told at once.

Starts a mesh of real processes, with engines of known cost that play a script, and with the default engines, and lets
callers talk: each asks, listens for some seconds, interrupts and asks again, `--turns` times, then hangs up. A caller
without a place waits in the queue, and asks again when it is admitted. Prints a table, and exits with 1 when

- fewer callers were admitted at a time than there are places,
- fewer than 99 % of the admitted questions were answered by what was asked for, within `--bar-s` after their last word,
- a caller was told later than a second after the first voiced sample, or REST refused later or without `Retry-After`.

The small default takes half a minute: `OVERLOAD="--callers 60 --places auto --turns 4 --engines both"` is the proof.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import shlex
import statistics
import sys
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import httpx
import uvloop
from anchor_cli.client.audio_files import load_clip
from bench_mesh import PROJECT, ServingMesh, real_mesh, serving_mesh
from load import FRAME_S, SILENCE, voiced_frames
from service_kit.audio import MICROPHONE
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

Engines = Literal["scripted", "default"]
# A recorded question in frames.
Clip = list[bytes]

SCRIPT = Path(__file__).parent / "script.toml"
RECORDINGS = PROJECT / "tools/eval/data/audio"
CLIPS = 20
# Callers come spread over this time.
ARRIVALS_S = 10.0
LISTEN_S = 5.0
PAUSE_S = 1.0
ANSWER_WITHIN_S = 15.0
TOLD_WITHIN_S = 1.0
ANSWERED_SHARE = 0.99
# What REST answers is looked at so often while callers wait.
REST_EVERY_S = 2.0


@dataclass(slots=True)
class OverloadResult:
    """What happened to all callers; times in seconds."""

    # Of each admitted question, from its last voiced sample to the first frame of the reply.
    waits_s: list[float] = field(default_factory=list)
    # Of each admitted question that was not answered rightly, what came instead.
    failures: list[str] = field(default_factory=list)
    # From the first voiced sample to the message that the caller waits.
    told_s: list[float] = field(default_factory=list)
    # From the first wait to the admission.
    queued_s: list[float] = field(default_factory=list)
    # REST questions while callers waited: how long the refusal took, and the `Retry-After` of each.
    rest_s: list[float] = field(default_factory=list)
    rest_failures: list[str] = field(default_factory=list)
    callers_done: int = 0
    most_admitted: int = 0
    # Places while all were connected: silent microphones take cores too.
    least_places: int = 0
    load_steps: Sequence[str] = ()
    late_frames: int = 0
    frames: int = 0


def spoken_frames(pcm: bytes) -> Clip:
    """A recorded question in frames, cut to its voice: a decaying tail would blur the end of speech."""
    frames, first, last = voiced_frames(pcm)
    return frames[first : last + 1]


class Caller:
    """One call: a continuous microphone, playback reports, and questions until it hangs up."""

    def __init__(self, socket: ClientConnection, clips: Sequence[Clip], result: OverloadResult, seed: int) -> None:
        self._socket = socket
        self._clips = clips
        self._result = result
        self._random = random.Random(seed)
        self._speech: list[bytes] = []
        self._first_voiced_s = self._last_voiced_s = 0.0
        self._speech_over = asyncio.Event()
        # The outcome of the question: the first frame of an answer, or a message that ends it otherwise.
        self._outcome: asyncio.Future[float | str] = asyncio.get_running_loop().create_future()
        self._admitted = asyncio.Event()
        self._queued_since_s = 0.0
        self._turn_id = 0
        self._engine = ""
        self._received_ms = 0.0
        self._first_frame_s = 0.0

    async def run(self, turns: int) -> None:
        """Ask `turns` questions."""
        await self._send("session_start", reports_playback=True, sample_rate_hz=MICROPHONE.rate_hz, waits=True)
        tasks = [
            asyncio.create_task(work()) for work in (self._receive, self._stream_microphone, self._report_playback)
        ]
        try:
            await asyncio.sleep(self._random.uniform(0.5, 1.5))
            for _ in range(turns):
                await self._ask_until_admitted()
                await asyncio.sleep(LISTEN_S)
                await self._send("interrupt")
                await asyncio.sleep(PAUSE_S * self._random.uniform(0.5, 1.5))
            self._result.callers_done += 1
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def _ask_until_admitted(self) -> None:
        while True:
            self._outcome = asyncio.get_running_loop().create_future()
            self._admitted.clear()
            self._speech = list(self._random.choice(self._clips))
            self._first_voiced_s = 0.0
            self._speech_over.clear()
            await self._speech_over.wait()
            try:
                async with asyncio.timeout(ANSWER_WITHIN_S):
                    outcome = await self._outcome
            except TimeoutError:
                outcome = f"nothing within {ANSWER_WITHIN_S:g} s"
            if outcome == "waiting":
                await self._admitted.wait()
                # A person needs a moment to notice.
                await asyncio.sleep(self._random.uniform(0.5, 1.5))
                continue
            if isinstance(outcome, float):
                self._result.waits_s.append(outcome)
            else:
                self._result.failures.append(outcome)
            return

    async def _stream_microphone(self) -> None:
        due_s = time.perf_counter()
        while True:
            due_s += FRAME_S
            await asyncio.sleep(due_s - time.perf_counter())
            now_s = time.perf_counter()
            self._result.frames += 1
            self._result.late_frames += now_s - due_s > FRAME_S
            if not self._speech:
                await self._socket.send(SILENCE)
                continue
            self._first_voiced_s = self._first_voiced_s or now_s
            await self._socket.send(self._speech.pop(0))
            if not self._speech:
                self._last_voiced_s = now_s
                self._speech_over.set()

    async def _report_playback(self) -> None:
        while True:
            await asyncio.sleep(0.1)
            if self._first_frame_s:
                played_ms = min(self._received_ms, (time.perf_counter() - self._first_frame_s) * 1000)
                await self._send("playback_progress", turn_id=self._turn_id, played_ms=int(played_ms))

    async def _receive(self) -> None:
        async for frame in self._socket:
            if isinstance(frame, bytes):
                self._on_audio(frame)
            else:
                self._on_message(json.loads(frame))

    def _on_audio(self, frame: bytes) -> None:
        self._first_frame_s = self._first_frame_s or time.perf_counter()
        self._received_ms += len(frame) / 48
        if any(frame):
            waited_s = time.perf_counter() - self._last_voiced_s
            self._settle(waited_s if self._engine != "phrase" else "an apology")

    def _on_message(self, message: dict[str, Any]) -> None:
        match message["type"]:
            case "reply_started":
                self._turn_id, self._engine = message["turn_id"], message["engine"]
                self._received_ms = self._first_frame_s = 0.0
            case "admission" if message["state"] == "ADMISSION_STATE_ADMITTED":
                self._result.queued_s.append(time.perf_counter() - self._queued_since_s)
                self._admitted.set()
            case "admission" if self._first_voiced_s and not self._outcome.done():
                now_s = time.perf_counter()
                self._result.told_s.append(now_s - self._first_voiced_s)
                self._queued_since_s = now_s
                self._settle("waiting")
            case "turn_failed" | "session_ended":
                self._settle(f"{message['type']}: {message['code']}")
            case _:
                pass

    def _settle(self, outcome: float | str) -> None:
        # Speech that goes on after a turn was committed too early is answered before its end.
        if not self._outcome.done() and (self._speech_over.is_set() or outcome == "waiting"):
            self._outcome.set_result(outcome)

    async def _send(self, name: str, **fields: object) -> None:
        await self._socket.send(json.dumps({"type": name, **fields}))


async def run_caller(url: str, clips: Sequence[Clip], result: OverloadResult, turns: int, begin_s: float) -> None:
    """Call after `begin_s`; a session that the server ends is a failure."""
    await asyncio.sleep(begin_s)
    try:
        async with connect(url, compression=None, max_size=2**20, ping_interval=None) as socket:
            await Caller(socket, clips, result, round(begin_s * 1000)).run(turns)
    except (ConnectionClosed, OSError) as lost:
        result.failures.append(f"session lost: {lost!r}")


async def watch_mesh(base: str, result: OverloadResult) -> None:
    """Follow how many callers are admitted, and ask by REST while all places are taken, until cancelled."""
    async with httpx.AsyncClient(base_url=base, timeout=10) as http:
        while True:
            speakers = await read_speakers(http)
            result.most_admitted = max(result.most_admitted, speakers["held"])
            result.least_places = min(result.least_places or speakers["places"], speakers["places"])
            if speakers["waiting"]:
                begun_s = time.perf_counter()
                answer = await http.post("/interact", json={"text": "What is the news?"})
                if answer.status_code == 503:
                    result.rest_s.append(time.perf_counter() - begun_s)
                    if not answer.headers.get("retry-after"):
                        result.rest_failures.append("503 without Retry-After")
                elif answer.status_code != 200:
                    result.rest_failures.append(f"status {answer.status_code}")
            await asyncio.sleep(REST_EVERY_S)


async def read_speakers(http: httpx.AsyncClient) -> dict[str, Any]:
    """What `/info` says about speakers."""
    return (await http.get("/info")).json()["speakers"]


async def read_load_steps(base: str) -> Sequence[str]:
    """The load steps that were taken at any time."""
    async with httpx.AsyncClient(base_url=base) as http:
        text = (await http.get("/metrics")).text
    return tuple(re.findall(r'^anchor_load_steps_total\{outcome="taken",step="(\w+)"\}', text, re.MULTILINE))


@asynccontextmanager
async def overloaded_mesh(engines: Engines, places: str) -> AsyncGenerator[ServingMesh]:
    """A mesh on all cores with the engines and the number of places, which may be `auto`."""
    settings = {"ORCHESTRATOR_MAX_SPEAKERS": places}
    if engines == "scripted":
        async with serving_mesh(SCRIPT, os.sched_getaffinity(0), settings=settings) as mesh:
            yield mesh
    else:
        async with real_mesh({"ANCHOR_MODELS": "default", "ANCHOR_LOG_LEVEL": "WARNING", **settings}) as mesh:
            yield mesh


async def call(url: str, callers: int, turns: int) -> OverloadResult:
    """Let the callers call, watch the mesh meanwhile, and return what happened."""
    clips = [spoken_frames(load_clip(path)) for path in sorted(RECORDINGS.glob("*.flac"))[:CLIPS]]
    result = OverloadResult()
    base = base_url(url)
    watching = asyncio.create_task(watch_mesh(base, result))
    begins = [ARRIVALS_S / callers * index for index in range(callers)]
    await asyncio.gather(*(run_caller(url, clips, result, turns, begin_s) for begin_s in begins))
    watching.cancel()
    await asyncio.wait([watching])
    result.load_steps = await read_load_steps(base)
    return result


def base_url(url: str) -> str:
    """The address of the HTTP routes beside a session's URL."""
    return url.replace("ws://", "http://").removesuffix("/ws/audio")


async def measure(engines: Engines, arguments: argparse.Namespace) -> tuple[OverloadResult, dict[str, Any]]:
    """Return what happened to the callers, and the capacity as `/info` has it.

    The callers are a process of their own, on uvloop: the supervisor of the mesh needs asyncio's own loop.
    """
    async with overloaded_mesh(engines, arguments.places) as mesh:
        # The services report their engines every two seconds.
        await asyncio.sleep(3)
        async with httpx.AsyncClient(base_url=base_url(mesh.url)) as http:
            capacity = await read_speakers(http)
        command = [__file__, "--url", mesh.url, "--callers", str(arguments.callers), "--turns", str(arguments.turns)]
        process = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=asyncio.subprocess.PIPE)
        output, _ = await process.communicate()
        if process.returncode:
            sys.exit("the callers failed")
    return OverloadResult(**json.loads(output)), capacity


def problems(result: OverloadResult, capacity: dict[str, Any], callers: int, bar_s: float) -> list[str]:
    """What is not as it must be."""
    found: list[str] = []
    places = result.least_places or capacity["places"]
    if result.most_admitted < min(callers, places):
        found.append(f"{result.most_admitted} admitted at a time, of {places} places")
    asked = len(result.waits_s) + len(result.failures)
    in_time = sum(wait <= bar_s for wait in result.waits_s)
    if not asked or in_time < ANSWERED_SHARE * asked:
        found.append(f"{in_time} of {asked} admitted questions answered within {bar_s:g} s")
    if late := [told for told in result.told_s + result.rest_s if told > TOLD_WITHIN_S]:
        found.append(f"{len(late)} told later than {TOLD_WITHIN_S:g} s")
    return found + result.rest_failures


def row(engines: str, callers: int, result: OverloadResult, capacity: dict[str, Any], bar_s: float) -> str:
    """A row of the table."""
    asked = len(result.waits_s) + len(result.failures)
    in_time = sum(wait <= bar_s for wait in result.waits_s)
    cells = [
        engines,
        str(callers),
        f"{capacity['places']}, at least {result.least_places} ({capacity['limited_by']})",
        str(result.most_admitted),
        str(asked),
        f"{len(result.waits_s)}, {in_time} of them within {bar_s:g} s",
        times(result.waits_s),
        str(len(result.told_s)),
        times(result.told_s),
        times(result.queued_s),
        f"{len(result.rest_s)}: {times(result.rest_s)}",
        ", ".join(result.load_steps) or "none",
        f"{result.late_frames / max(1, result.frames):.1%}",
    ]
    return f"| {' | '.join(cells)} |"


def times(values: Sequence[float]) -> str:
    """Median, 95th percentile and longest time, in seconds."""
    if not values:
        return "–"
    ranked = sorted(values)
    p95 = ranked[max(0, -(-len(ranked) * 95 // 100) - 1)]
    return f"{statistics.median(ranked):.2f} / {p95:.2f} / {ranked[-1]:.2f}"


HEAD = (
    "| engines | callers | places | admitted at a time | asked | answered | wait s, p50 / p95 / max | told to wait "
    "| told after s | queued s | REST refused, s | load steps | late client frames |"
)


def main() -> None:
    """Run the measurement and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--callers", type=int, default=5)
    parser.add_argument("--places", default="2", help="places for callers, or auto")
    parser.add_argument("--turns", type=int, default=2, help="questions of each caller")
    parser.add_argument("--engines", choices=("scripted", "default", "both"), default="scripted")
    parser.add_argument("--bar-s", type=float, default=3.0, help="an answer must begin within so many seconds")
    parser.add_argument("--url", help="call this server instead, and print the result as JSON")
    arguments = parser.parse_args()
    if arguments.url:
        called = uvloop.run(call(arguments.url, arguments.callers, arguments.turns))
        sys.stdout.write(json.dumps(asdict(called)))
        return
    kinds: tuple[Engines, ...] = ("scripted", "default") if arguments.engines == "both" else (arguments.engines,)
    rows: list[str] = []
    found: list[str] = []
    for engines in kinds:
        result, capacity = asyncio.run(measure(engines, arguments))
        rows.append(row(engines, arguments.callers, result, capacity, arguments.bar_s))
        found += [f"{engines}: {each}" for each in problems(result, capacity, arguments.callers, arguments.bar_s)]
        found += [f"{engines}: not answered: {each}" for each in sorted(set(result.failures))]
    sys.stdout.write(
        f"`{shlex.join(sys.argv)}`\n\n{HEAD}\n{'|---' * HEAD.count(' | ')}|---|\n" + "\n".join(rows) + "\n"
    )
    if found:
        sys.stdout.write("\n" + "\n".join(found) + "\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
