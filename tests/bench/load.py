"""The load: people who talk to the anchor at the same time, and what they wait for. A process of its own.

    python tests/bench/load.py --url ws://127.0.0.1:8080/ws/audio --sessions 2 --seconds 60

Each person asks the same question over and over. Every other answer is interrupted: the next question begins one
second into it. Prints one JSON object: the waits and the barge-ins in milliseconds.

- wait: from the sending of the frame with the last voiced sample to the arrival of the first audible frame
- barge-in: from the sending of the frame with the first voiced sample to the arrival of the last frame of the answer
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import wave
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import uvloop
from websockets.asyncio.client import ClientConnection, connect

FRAME_MS = 20
FRAME_BYTES = 640
SILENCE = bytes(FRAME_BYTES)
# A frame whose loudest sample reaches this, of 32767, is voiced: as the scripted recogniser has it.
VOICED_PEAK = 500


@dataclass
class Question:
    """A clip in frames, and where its voice begins and ends."""

    frames: list[bytes]
    first_voiced: int
    last_voiced: int

    @classmethod
    def read(cls, path: Path) -> Question:
        with wave.open(str(path)) as clip:
            pcm = clip.readframes(clip.getnframes())
        frames = [pcm[at : at + FRAME_BYTES].ljust(FRAME_BYTES, b"\0") for at in range(0, len(pcm), FRAME_BYTES)]
        voiced = [
            index for index, frame in enumerate(frames) if np.abs(np.frombuffer(frame, "<i2")).max() >= VOICED_PEAK
        ]
        # What rings out below the threshold would be heard by nobody and move the end of speech.
        frames = [frame if voiced[0] <= index <= voiced[-1] else SILENCE for index, frame in enumerate(frames)]
        return cls(frames, voiced[0], voiced[-1])


@dataclass
class Findings:
    """What all people found, in milliseconds."""

    waits: list[float] = field(default_factory=list)
    barge_ins: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    late_frames: int = 0


class Person:
    """One session: an open microphone, an ear, and a plan."""

    def __init__(self, socket: ClientConnection, question: Question, findings: Findings) -> None:
        self._socket = socket
        self._question = question
        self._findings = findings
        self._now = asyncio.get_running_loop().time
        self._to_say: list[tuple[bytes, str]] = []
        self._spoke_first_s = self._spoke_last_s = 0.0
        self._first_frame_s: float | None = None
        self._last_frame_s = 0.0
        self._played_ms = 0
        self._turn_id = 0
        self._audible = asyncio.Event()
        self._finished = asyncio.Event()
        self._said = asyncio.Event()

    async def run(self, seconds: float, begin_s: float) -> None:
        await self._socket.send(json.dumps({"type": "session_start", "reports_playback": True}))
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(work) for work in (self._microphone(), self._ear(), self._reports())]
            await asyncio.sleep(begin_s)
            until_s = self._now() + seconds
            interrupt = False
            while self._now() < until_s:
                await self._turn(interrupt)
                interrupt = not interrupt
            for task in running:
                task.cancel()

    async def _turn(self, interrupting: bool) -> None:
        """Ask; when `interrupting`, over the answer that is being heard."""
        self._audible.clear()
        self._first_frame_s = None
        await self._ask()
        try:
            async with asyncio.timeout(10):
                await self._audible.wait()
        except TimeoutError:
            self._findings.errors.append("no answer within 10 s")
            return
        assert self._first_frame_s is not None
        self._findings.waits.append((self._first_frame_s - self._spoke_last_s) * 1000)
        if interrupting:
            await self._wait_for_the_end()
            return
        await asyncio.sleep(1.0)
        # The next question begins over this answer.
        answer_turn = self._turn_id
        self._say_question()
        await self._until_said(first=True)
        await asyncio.sleep(0.7)
        if self._turn_id == answer_turn:
            self._findings.barge_ins.append(max(0.0, self._last_frame_s - self._spoke_first_s) * 1000)
        self._first_frame_s = None
        self._audible.clear()
        await self._until_said()
        async with asyncio.timeout(10):
            await self._audible.wait()
        assert self._first_frame_s is not None
        self._findings.waits.append((self._first_frame_s - self._spoke_last_s) * 1000)
        await self._wait_for_the_end()

    async def _wait_for_the_end(self) -> None:
        self._finished.clear()
        async with asyncio.timeout(30):
            await self._finished.wait()
        await asyncio.sleep(0.3)

    async def _ask(self) -> None:
        self._say_question()
        await self._until_said()

    def _say_question(self) -> None:
        question = self._question
        marks = {question.first_voiced: "first", question.last_voiced: "last"}
        self._said.clear()
        self._to_say = [(frame, marks.get(index, "")) for index, frame in enumerate(question.frames)]
        self._to_say.reverse()

    async def _until_said(self, first: bool = False) -> None:
        if first:
            before = self._spoke_first_s
            while self._spoke_first_s == before:
                await asyncio.sleep(0.005)
            return
        await self._said.wait()

    async def _microphone(self) -> None:
        due_s = self._now()
        while True:
            due_s += FRAME_MS / 1000
            late_s = self._now() - due_s
            if late_s > 0.02:
                self._findings.late_frames += 1
            await asyncio.sleep(-late_s)
            frame, mark = self._to_say.pop() if self._to_say else (SILENCE, "")
            await self._socket.send(frame)
            if mark == "first":
                self._spoke_first_s = self._now()
            elif mark == "last":
                self._spoke_last_s = self._now()
                self._said.set()

    async def _ear(self) -> None:
        async for frame in self._socket:
            if isinstance(frame, bytes):
                self._last_frame_s = self._now()
                if self._first_frame_s is None and any(frame[:960]):
                    self._first_frame_s = self._last_frame_s
                    self._audible.set()
                self._played_ms += len(frame) // 48
                continue
            message = json.loads(frame)
            match message["type"]:
                case "reply_audio":
                    self._turn_id = message["turn_id"]
                    self._played_ms = message["offset_ms"]
                    self._started_s = self._now()
                case "reply_finished":
                    self._finished.set()
                case "error" | "turn_failed" | "session_ended":
                    self._findings.errors.append(message.get("code", "") + ": " + message.get("message", ""))

    async def _reports(self) -> None:
        reported = (0, 0)
        while True:
            await asyncio.sleep(0.1)
            if not self._turn_id:
                continue
            played_ms = min(self._played_ms, round((self._now() - self._started_s) * 1000))
            if (self._turn_id, played_ms) != reported:
                reported = (self._turn_id, played_ms)
                message = {"type": "playback_progress", "turn_id": self._turn_id, "played_ms": played_ms}
                await self._socket.send(json.dumps(message))


async def one_person(url: str, question: Question, seconds: float, begin_s: float, findings: Findings) -> None:
    async with connect(url, compression=None, max_size=2**20, ping_interval=None) as socket:
        await Person(socket, question, findings).run(seconds, begin_s)


async def load(url: str, sessions: int, seconds: float, path: Path) -> Findings:
    findings = Findings()
    question = Question.read(path)
    # Spread over four seconds, so that people do not speak in chorus.
    chance = random.Random(sessions)
    async with asyncio.TaskGroup() as people:
        for _ in range(sessions):
            begin_s = 0.5 + chance.random() * 4
            people.create_task(one_person(url, question, seconds, begin_s, findings))
            await asyncio.sleep(0.01)
    return findings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True)
    parser.add_argument("--sessions", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--question", type=Path, default=Path("content/questions/demo.wav"))
    args = parser.parse_args()
    findings = uvloop.run(load(args.url, args.sessions, args.seconds, args.question))
    json.dump(vars(findings), sys.stdout)


if __name__ == "__main__":
    main()
