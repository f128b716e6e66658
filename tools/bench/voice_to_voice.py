"""`make bench-voice`: how long people wait for an answer with the default engines, and the memory of the mesh.

Starts a real mesh with the engines of this machine, lets simulated users ask the recorded questions of
`tools/eval/data`, and prints tables: the time from the last voiced sample sent to the first frame received, by what
ended the turn, and the proportional set size of each service.
"""

from __future__ import annotations

import argparse
import asyncio
import platform
import random
import shlex
import statistics
import sys
import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass

from anchor_cli.client.audio_files import load_clip
from anchor_cli.client.session_client import SessionClient, open_session
from anchor_cli.client.turn import run_turn
from bench_mesh import PROJECT, ServingMesh, real_mesh
from footprint import pss_bytes
from service_kit.errors import AnchorError, root_cause

QUESTIONS = PROJECT / "tools/eval/data/paraphrases.toml"
RECORDINGS = PROJECT / "tools/eval/data/audio"
# The order of the questions of each user.
SEED = 1


@dataclass(frozen=True, slots=True)
class AskedQuestion:
    """One question as it went: `waited_ms` from the last voiced sample sent to the first frame received."""

    text: str
    heard: str
    waited_ms: float
    decided_by: str
    wait_ms: int
    transcript_ms: int
    engine: str


def main() -> None:
    """Run the measurement and print the tables. Exits with 1 when no question was answered."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=1, help="people who talk at the same time")
    parser.add_argument("--questions", type=int, default=0, help="questions of each user; default: all")
    parser.add_argument("--minutes", type=float, default=0, help="go on asking for so long")
    parser.add_argument("--listen-s", type=float, default=1.0, help="interrupt the reply after so much of it")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of the mesh")
    parser.add_argument("--list", action="store_true", help="list every question")
    arguments = parser.parse_args()
    environment = dict(setting.split("=", 1) for setting in arguments.set)
    asked, sizes = asyncio.run(measure(arguments, {"ANCHOR_MODELS": "default", **environment}))
    if not asked:
        sys.exit("no question was answered")
    print(report(asked, sizes, arguments.list))  # noqa: T201


async def measure(
    arguments: argparse.Namespace, environment: dict[str, str]
) -> tuple[list[AskedQuestion], dict[str, int]]:
    """Return every question asked, and the proportional set size of each service at the end, in bytes."""
    listed = [entry["question"] for entry in tomllib.loads(QUESTIONS.read_text("utf-8"))["paraphrase"]]
    clips = [(text, load_clip(RECORDINGS / f"{number:03}.flac")) for number, text in enumerate(listed, 1)]
    async with real_mesh(environment) as mesh:
        until_s = time.monotonic() + 60 * arguments.minutes
        users = [
            _ask(mesh, clips, arguments, random.Random(SEED + number), until_s) for number in range(arguments.users)
        ]
        answers = await asyncio.gather(*users)
        return [question for of_user in answers for question in of_user], pss_bytes(mesh.roots)


async def _ask(
    mesh: ServingMesh,
    clips: Sequence[tuple[str, bytes]],
    arguments: argparse.Namespace,
    order: random.Random,
    until_s: float,
) -> list[AskedQuestion]:
    """Ask the questions in the user's own order, in one session; again from the start until `until_s`."""
    asked: list[AskedQuestion] = []
    async with open_session(mesh.url) as session:
        # Users do not speak in step.
        await asyncio.sleep(order.uniform(0, 2))
        while True:
            count = arguments.questions or len(clips)
            for text, clip in order.sample(clips, min(count, len(clips))):
                asked.append(await _ask_one(session, text, clip, arguments.listen_s))
                await asyncio.sleep(order.uniform(0.3, 1.0))
            if time.monotonic() >= until_s:
                return asked


async def _ask_one(session: SessionClient, text: str, clip: bytes, listen_s: float) -> AskedQuestion:
    try:
        turn = await run_turn(session, clip, listen_s)
    except Exception as error:
        cause = root_cause(error)
        if isinstance(cause, AnchorError):
            return AskedQuestion(text, str(cause), float("nan"), "not answered", 0, 0, "")
        raise
    predicted = next((event.message for event in reversed(session.events) if event.name == "turn_end_predicted"), None)
    decided_by = predicted.DESCRIPTOR.fields_by_name["decided_by"].enum_type if predicted is not None else None
    name = decided_by.values_by_number[predicted.decided_by].name if decided_by and predicted else "none"
    return AskedQuestion(
        text,
        turn.transcript,
        turn.response_ms,
        name.removeprefix("WAIT_DECISION_").lower(),
        predicted.wait_ms if predicted is not None else 0,
        turn.waterfall.final_transcript_ms if turn.waterfall is not None else 0,
        turn.engine,
    )


def report(asked: Sequence[AskedQuestion], sizes: dict[str, int], listed: bool) -> str:
    """Return the tables as Markdown."""
    answered = [question for question in asked if question.decided_by != "not answered"]
    lines = [
        f"`{shlex.join(sys.argv)}`, {platform.machine()}, {len(answered)} of {len(asked)} questions answered",
        "",
        "| turn ended by | turns | p50 ms | p95 ms | wait chosen, p50 ms | final transcript p50 / p95 ms |",
        "|---|---|---|---|---|---|",
    ]
    for name in sorted({question.decided_by for question in answered}):
        group = [question for question in answered if question.decided_by == name]
        lines.append(_row(name, group))
    lines.append(_row("all", answered))
    lines += ["", "| service | PSS MiB |", "|---|---|"]
    lines += [f"| {name} | {size / 2**20:.0f} |" for name, size in sizes.items()]
    services = sum(size for name, size in sizes.items() if name != "launcher")
    lines += [f"| all services | {services / 2**20:.0f} |"]
    if listed:
        columns = ("waited ms", "ended by", "wait ms", "transcript ms", "engine", "question", "heard")
        lines += ["", f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
        for q in sorted(asked, key=lambda question: -question.waited_ms):
            cells = (f"{q.waited_ms:.0f}", q.decided_by, q.wait_ms, q.transcript_ms, q.engine, q.text, q.heard)
            lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def _row(name: str, group: Sequence[AskedQuestion]) -> str:
    waited = [question.waited_ms for question in group]
    transcripts = [question.transcript_ms for question in group]
    return (
        f"| {name} | {len(group)} | {percentile(waited, 50):.0f} | {percentile(waited, 95):.0f} "
        f"| {statistics.median(question.wait_ms for question in group):.0f} "
        f"| {percentile(transcripts, 50):.0f} / {percentile(transcripts, 95):.0f} |"
    )


def percentile(values: Sequence[float], percent: int) -> float:
    """Return the nearest-rank percentile of `values`."""
    ranked = sorted(values)
    return ranked[max(0, -(-len(ranked) * percent // 100) - 1)]


if __name__ == "__main__":
    main()
