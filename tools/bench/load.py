"""The load client: simulated users who talk with the anchor at the same time, in a separate process.

    python tools/bench/load.py --url ws://127.0.0.1:8080/ws/audio --sessions 2 --seconds 60

Each user asks the same question repeatedly. Every other answer is interrupted: the next question begins about a
second into it. Microphones are open loops: a frame every 20 ms, whatever the server does.

Prints a line `{"event": "measuring"}` after the warm-up and a line `{"event": "measured", …}` with the result at the
end; the resources used between the two lines are those of these sessions.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
import wave
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import uvloop
from load_result import LoadResult
from service_kit.audio import MICROPHONE, SPEECH
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

FRAME_S = 0.02
FRAME_BYTES = MICROPHONE.bytes_for(20)
SILENCE = bytes(FRAME_BYTES)
# A frame whose loudest sample reaches this, of 32767, is voiced, as in the scripted recogniser.
VOICED_PEAK = 500
# Users start spread over a turn and a half, so that they do not speak in sync; then all run for a moment.
SPREAD_S = 10.0
SETTLE_S = 2.0
REPORT_EVERY_S = 0.1
ANSWER_WITHIN_S = 10.0
FINISH_WITHIN_S = 30.0


def voiced_frames(pcm: bytes) -> tuple[list[bytes], int, int]:
    """PCM16 mono at 16 kHz in frames, and the first and the last that is voiced."""
    frames = [pcm[at : at + FRAME_BYTES].ljust(FRAME_BYTES, b"\0") for at in range(0, len(pcm), FRAME_BYTES)]
    voiced = [
        index
        for index, frame in enumerate(frames)
        if np.abs(np.frombuffer(frame, "<i2").astype(np.int32)).max() >= VOICED_PEAK
    ]
    return frames, voiced[0], voiced[-1]


def room_noise(rms: float) -> list[bytes]:
    """Two seconds of white noise of this loudness, of 32767, in frames; for 0 one frame of zeros."""
    if not rms:
        return [SILENCE]
    samples = np.random.default_rng(1).normal(0, rms, (100, FRAME_BYTES // 2))
    return [frame.tobytes() for frame in np.rint(samples).astype("<i2")]


def mixed(frame: bytes, noise: bytes) -> bytes:
    """The sum of two frames, clipped."""
    total = np.frombuffer(frame, "<i2").astype(np.int32) + np.frombuffer(noise, "<i2")
    return np.clip(total, -32_768, 32_767).astype("<i2").tobytes()


@dataclass(frozen=True, slots=True)
class Question:
    """A clip in frames, which of them are the first and the last voiced ones, and the frames of silence around it."""

    frames: list[bytes]
    first_voiced: int
    last_voiced: int
    silence: list[bytes]

    @classmethod
    def read(cls, path: Path, noise_rms: float = 0.0) -> Question:
        """Read the WAV file at `path`, silenced outside its voice: a decaying tail would blur the end of speech.

        `noise_rms` is the loudness of a noise in the whole microphone, of 32767.
        """
        with wave.open(str(path)) as clip:
            pcm = clip.readframes(clip.getnframes())
        frames, first, last = voiced_frames(pcm)
        clip = [SILENCE] * first + frames[first : last + 1]
        noise = room_noise(noise_rms)
        return cls([mixed(frame, noise[at % len(noise)]) for at, frame in enumerate(clip)], first, last, noise)


@dataclass(slots=True)
class Answer:
    """A reply as received. Times are seconds of `perf_counter`: uvloop's own clock has whole milliseconds."""

    turn_id: int
    first_frame_s: float | None = None
    last_frame_s: float = 0.0
    received_ms: float = 0.0
    silenced_s: float | None = None
    finished: asyncio.Event = field(default_factory=asyncio.Event)

    def played_ms(self, now_s: float) -> int:
        """How much has been played: in real time, and never more than was received."""
        if self.first_frame_s is None:
            return 0
        until_s = now_s if self.silenced_s is None else self.silenced_s
        return int(min(self.received_ms, (until_s - self.first_frame_s) * 1000))


@dataclass(slots=True)
class Utterance:
    """A question while the microphone sends it."""

    ended: asyncio.Future[float]
    next_frame: int = 0
    began_s: float = 0.0


class SimulatedUser:
    """One session: a continuous microphone, a receiver, playback reports, and a plan."""

    def __init__(self, socket: ClientConnection, question: Question, result: LoadResult, rng: random.Random) -> None:
        self._socket = socket
        self._question = question
        self._result = result
        self._rng = rng
        self._loop = asyncio.get_running_loop()
        self._utterance: Utterance | None = None
        # When the question ended, until speech_stopped comes.
        self._speech_ended_s: float | None = None
        self._answer: Answer | None = None
        # The answer to the last question, once it is audible.
        self._audible: asyncio.Future[Answer] = self._loop.create_future()

    async def run(self) -> None:
        """Talk until cancelled."""
        await self._send("session_start", reports_playback=True, sample_rate_hz=MICROPHONE.rate_hz)
        async with asyncio.TaskGroup() as tasks:
            for task in (self._receive(), self._report_playback(), self._stream_microphone(), self._converse()):
                tasks.create_task(task)

    # The plan -------------------------------------------------------------------------------------------------------

    async def _converse(self) -> None:
        while True:
            try:
                await self._wait_until_finished(await self._ask())
                answer = await self._ask()
                # Spreads the start over the detector's frames and the report interval.
                await asyncio.sleep(1.0 + self._rng.random() * 0.2)
                await self._wait_until_finished(await self._ask(over=answer))
            except TimeoutError:
                self._result.failures.append("no answer, or no end of the answer, in time")

    async def _ask(self, over: Answer | None = None) -> Answer:
        """Ask the question, `over` an audible answer if given; return its answer when that is audible."""
        self._audible = self._loop.create_future()
        self._utterance = saying = Utterance(self._loop.create_future())
        ended_s = await saying.ended
        if over is not None:
            self._record_interruption(over, saying.began_s)
        async with asyncio.timeout(ANSWER_WITHIN_S):
            answer = await self._audible
        assert answer.first_frame_s is not None
        wait_ms = (answer.first_frame_s - ended_s) * 1000
        if wait_ms < 0:
            self._result.failures.append("answered before the question was over")
        else:
            self._result.waits_ms.append(wait_ms)
        return answer

    async def _wait_until_finished(self, answer: Answer) -> None:
        async with asyncio.timeout(FINISH_WITHIN_S):
            await answer.finished.wait()
        await asyncio.sleep(0.3)

    def _record_interruption(self, answer: Answer, began_s: float) -> None:
        if answer.silenced_s is None:
            self._result.failures.append("not interrupted")
            return
        self._result.silences_ms.append((answer.silenced_s - began_s) * 1000)
        self._result.last_frames_ms.append(max(0.0, answer.last_frame_s - began_s) * 1000)

    # The tasks ------------------------------------------------------------------------------------------------------

    async def _stream_microphone(self) -> None:
        due_s = time.perf_counter()
        while True:
            due_s += FRAME_S
            await asyncio.sleep(due_s - time.perf_counter())
            self._result.frames += 1
            self._result.late_frames += time.perf_counter() - due_s > FRAME_S
            if self._utterance is None:
                silence = self._question.silence
                await self._socket.send(silence[self._result.frames % len(silence)])
            else:
                await self._send_frame(self._utterance)

    async def _send_frame(self, saying: Utterance) -> None:
        index = saying.next_frame
        saying.next_frame += 1
        if index == self._question.first_voiced:
            saying.began_s = time.perf_counter()
        if index == self._question.last_voiced:
            self._speech_ended_s = time.perf_counter()
            saying.ended.set_result(self._speech_ended_s)
            self._utterance = None
        await self._socket.send(self._question.frames[index])

    async def _receive(self) -> None:
        async for frame in self._socket:
            now_s = time.perf_counter()
            if isinstance(frame, bytes):
                self._on_audio(frame, now_s)
            else:
                self._on_message(json.loads(frame), now_s)

    def _on_audio(self, frame: bytes, now_s: float) -> None:
        answer = self._answer
        assert answer is not None, "audio before reply_audio"
        answer.last_frame_s = now_s
        answer.received_ms += SPEECH.ms_of(len(frame))
        if answer.first_frame_s is None and any(frame):
            answer.first_frame_s = now_s
            if not self._audible.done():
                self._audible.set_result(answer)

    def _on_message(self, message: dict[str, Any], now_s: float) -> None:
        answer = self._answer
        match message["type"]:
            case "reply_audio" if answer is None or answer.turn_id != message["turn_id"]:
                self._answer = Answer(message["turn_id"])
            case "speech_stopped" if self._speech_ended_s is not None:
                self._result.stop_edges_ms.append((now_s - self._speech_ended_s) * 1000)
                self._speech_ended_s = None
            case "playback_pause" | "playback_stop" if answer is not None and answer.silenced_s is None:
                answer.silenced_s = now_s
            case "playback_resume" if answer is not None:
                answer.silenced_s = None
            case "reply_finished" if answer is not None and answer.turn_id == message["turn_id"]:
                answer.finished.set()
            case "service_notice" if not message["active"] or message["code"].startswith("load."):
                # Work that is left out under load is not missing from an answer.
                pass
            case "error" | "service_notice" | "turn_failed" | "session_ended":
                self._result.failures.append(f"{message['type']}: {message['code']}")
            case _:
                pass

    async def _report_playback(self) -> None:
        reported = (0, 0)
        while True:
            await asyncio.sleep(REPORT_EVERY_S)
            answer = self._answer
            if answer is None or answer.finished.is_set():
                continue
            report = (answer.turn_id, answer.played_ms(time.perf_counter()))
            if report[1] and report != reported:
                reported = report
                await self._send("playback_progress", turn_id=report[0], played_ms=report[1])

    async def _send(self, name: str, **fields: object) -> None:
        await self._socket.send(json.dumps({"type": name, **fields}))


async def run_user(url: str, question: Question, result: LoadResult, begin_s: float, seed: int) -> None:
    """Start after `begin_s` and talk until cancelled; a session ended by the server is a failure."""
    await asyncio.sleep(begin_s)
    try:
        async with connect(url, compression=None, max_size=2**20, ping_interval=None) as socket:
            await SimulatedUser(socket, question, result, random.Random(seed)).run()
    except* (ConnectionClosed, OSError) as lost:
        result.failures.append(f"session lost: {lost.exceptions[0]!r}")


async def run_users(url: str, sessions: int, seconds: float, question: Question) -> None:
    """Run `sessions` users for `seconds`, and print the result."""
    result = LoadResult()
    async with asyncio.TaskGroup() as group:
        users = [
            group.create_task(run_user(url, question, result, SPREAD_S * index / sessions, index))
            for index in range(sessions)
        ]
        await asyncio.sleep(SPREAD_S + SETTLE_S)
        result.reset()
        _print(event="measuring")
        await asyncio.sleep(seconds)
        _print(event="measured", **asdict(result))
        for user in users:
            user.cancel()


def _print(**fields: object) -> None:
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True)
    parser.add_argument("--sessions", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--question", type=Path, default=Path("content/questions/demo.wav"))
    parser.add_argument("--noise-rms", type=float, default=0.0, help="of the microphones, of 32767; 0 for zeros only")
    options = parser.parse_args()
    question = Question.read(options.question, options.noise_rms)
    uvloop.run(run_users(options.url, options.sessions, options.seconds, question))


if __name__ == "__main__":
    main()
