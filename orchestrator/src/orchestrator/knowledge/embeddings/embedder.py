"""The orchestrator's end of the embedding process: one vector for each text."""

from __future__ import annotations

import asyncio
import itertools
import sys
from typing import Protocol

import numpy as np
from service_kit.engines.worker_frames import WorkerFrame
from service_kit.engines.worker_process import WorkerOptions, WorkerProcess
from service_kit.errors import AtCapacity, EngineFailed, NotReady

from orchestrator.knowledge.embeddings.frames import DIMENSIONS, MAX_TEXT_CHARS, Kind, Vector

# Texts under way at the process; more are refused.
MAX_UNDER_WAY = 8
# Loading takes a second, most of it for checking 72 MB; a busy machine takes longer.
_START_S = 30.0
# The longest text takes about 0.1 s, and up to `MAX_UNDER_WAY` wait for each other.
_HANG_S = 10.0
_RESTART_DELAYS_S = (0.5, 2.0, 10.0)
_MAX_FAILED_RESTARTS = 3
# A unit vector in float32 differs from length 1 by less.
_LENGTH_ERROR = 1e-3
_FAILED = "knowledge.embedding_failed"
_COMMAND = (sys.executable, "-I", "-m", "orchestrator.knowledge.embeddings.worker")


class Embedder(Protocol):
    """Turns texts into vectors whose dot product is the similarity of their meaning."""

    @property
    def ready(self) -> bool:
        """Whether it can work now."""
        ...

    async def run(self) -> None:
        """Work until cancelled. Raises `EngineFailed` when it cannot."""
        ...

    async def embed(self, text: str, is_question: bool) -> Vector:
        """Return a text's unit vector; questions and texts to be found differ. Raises `AnchorError`.

        Safe to cancel. `NotReady` while it starts, `AtCapacity` with too many texts under way.
        """
        ...

    async def wait_ready(self) -> None:
        """Wait until it can work."""
        ...


class EmbeddingProcess:
    """An `Embedder` in a process of its own, replaced when it dies or hangs."""

    def __init__(self, command: tuple[str, ...] = _COMMAND) -> None:
        options = WorkerOptions(
            name="embedding process",
            command=command,
            start_s=_START_S,
            hang_s=_HANG_S,
            restart_delays_s=_RESTART_DELAYS_S,
            max_failed_restarts=_MAX_FAILED_RESTARTS,
            unavailable_code=_FAILED,
            malformed_code=_FAILED,
            environment={},
        )
        self._process = WorkerProcess(options, self)
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Vector]] = {}

    @property
    def pid(self) -> int | None:
        """The process id; None while there is no process."""
        return self._process.pid

    @property
    def ready(self) -> bool:
        return self._process.ready

    async def run(self) -> None:
        await self._process.run()

    async def wait_ready(self) -> None:
        await self._process.wait_ready()

    async def embed(self, text: str, is_question: bool) -> Vector:
        if not self._process.ready:
            raise NotReady("knowledge.embedding_starts", "the embedding process is starting")
        if len(self._answers) >= MAX_UNDER_WAY:
            raise AtCapacity("knowledge.embedding_busy", f"{MAX_UNDER_WAY} texts are being embedded")
        number = next(self._numbers) & 0xFFFFFFFF
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        kind = Kind.QUESTION if is_question else Kind.TEXT
        self._process.send(WorkerFrame(kind, number, text[:MAX_TEXT_CHARS].encode("utf-8", "replace")), True)
        try:
            return await answer
        finally:
            self._answers.pop(number, None)

    # Called by the worker process ----------------------------------------------------------------------------------

    def on_start(self) -> None:
        """Do nothing: starts are not counted."""

    def on_handshake(self, frame: WorkerFrame) -> None:
        if frame.kind == Kind.BROKEN:
            raise EngineFailed(_FAILED, frame.payload.decode("utf-8", "replace")[:200])
        if frame.kind != Kind.READY:
            raise EngineFailed(_FAILED, f"the embedding process sent a frame of kind {frame.kind} first")

    def on_frame(self, frame: WorkerFrame) -> bool:
        if frame.kind != Kind.VECTOR or len(frame.payload) != 4 * DIMENSIONS:
            reason = f"the embedding process sent a frame of kind {frame.kind} with {len(frame.payload)} bytes"
            raise EngineFailed(_FAILED, reason)
        vector = np.frombuffer(frame.payload, "<f4").astype(np.float32)
        # Also false for a vector that is not finite.
        if not abs(float(np.linalg.norm(vector)) - 1) <= _LENGTH_ERROR:
            raise EngineFailed(_FAILED, "the embedding process sent a vector that is not of length 1")
        # A cancelled caller's answer has no future.
        if (answer := self._answers.get(frame.number)) and not answer.done():
            answer.set_result(vector)
        return True

    def on_exit(self) -> None:
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(EngineFailed(_FAILED, "the embedding process is gone"))
