"""Supervision of a worker process that exchanges frames with the service over its standard input and output.

The first frame of a process is its handshake.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol, cast

from service_kit.engines.worker_frames import FRAME_HEADER, WorkerFrame
from service_kit.engines.worker_watch import WorkerWatch, processor_time_s
from service_kit.errors import EngineFailed
from service_kit.tasks import background

log = logging.getLogger(__name__)

_MAX_PAYLOAD_BYTES = 1 << 20
# A process that was ready for so long resets the restart delays.
_STEADY_S = 10.0


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """How a worker process is started, watched and replaced; times in seconds."""

    # In logs and error messages, such as "espeak worker".
    name: str
    command: Sequence[str]
    # Deadline for the handshake.
    start_s: float
    # A process with a pending request that sends no frame for so long is killed.
    hang_s: float
    # Pauses before a restart: the first after a steady process, the next ones after quick exits in a row; the last
    # one repeats.
    restart_delays_s: Sequence[float]
    # Give up after so many failed restarts in a row; None: never.
    max_failed_restarts: int | None
    # Error code when no process starts, and when a frame is malformed.
    unavailable_code: str
    malformed_code: str
    # The process's whole environment; None for the service's own.
    environment: Mapping[str, str] | None = None
    # With this, a process with a pending request hangs when it uses no processor time for so long, or more than its
    # requests may take; `hang_s` then holds only where the system does not tell its processor time (worker_watch.py).
    stall_s: float | None = None


class WorkerClient(Protocol):
    """The engine's half of the exchange. `WorkerProcess` calls it on the event loop."""

    def on_start(self) -> None:
        """Count the start of a process."""
        ...

    def on_handshake(self, frame: WorkerFrame) -> None:
        """Check the first frame of a process. Raises `EngineFailed` to reject the process."""
        ...

    def on_frame(self, frame: WorkerFrame) -> bool:
        """Handle a frame; return whether it answers a request. Raises `EngineFailed` when the frame is malformed."""
        ...

    def on_exit(self) -> None:
        """Fail the unfinished work: the process is gone."""
        ...


class WorkerProcess:
    """A worker process, replaced when it exits, hangs or sends malformed frames.

    Run it with `running` (a context) or `run` (a coroutine); either ends the process when it ends.
    """

    def __init__(self, options: WorkerOptions, client: WorkerClient) -> None:
        self._options = options
        self._client = client
        self._process: Process | None = None
        self._ready = asyncio.Event()
        self._watch = self._new_watch()

    @property
    def pid(self) -> int | None:
        """The process id; None while there is no process."""
        return self._process.pid if self._process is not None else None

    @property
    def ready(self) -> bool:
        """Whether a process has completed its handshake."""
        return self._ready.is_set()

    async def wait_ready(self) -> None:
        """Wait for a process that has completed its handshake."""
        await self._ready.wait()

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Keep a process running inside the context.

        Raises `EngineFailed` when the first process does not start. Cancels the body when restarts are given up.
        """
        try:
            await self._start()
            async with asyncio.TaskGroup() as tasks:
                supervisor = tasks.create_task(self._supervise(), name=self._options.name)
                try:
                    yield
                finally:
                    supervisor.cancel()
        finally:
            await self._stop()

    async def run(self) -> None:
        """Keep a process running until cancelled.

        Raises `EngineFailed` when the first process does not start, and when restarts are given up.
        """
        try:
            await self._start()
            await self._supervise()
        finally:
            await self._stop()

    def send(self, frame: WorkerFrame, expects_answer: bool = False, allowed_s: float = math.inf) -> None:
        """Write a frame; without a ready process it is dropped, since `on_exit` has failed the work.

        With `stall_s`, the process may use `allowed_s` of processor time for the answer.
        The pipe has no back-pressure here: clients bound what they have under way, and a hung process is killed.
        """
        if self._process is None or not self.ready:
            return
        if expects_answer:
            self._watch.begin_request(allowed_s)
        cast(asyncio.StreamWriter, self._process.stdin).write(frame.encode())

    async def _start(self) -> None:
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        options = self._options
        self._process = await asyncio.create_subprocess_exec(
            *options.command, stdin=PIPE, stdout=PIPE, env=options.environment
        )
        self._client.on_start()
        try:
            async with asyncio.timeout(options.start_s):
                frame = await self._read_frame(self._process)
            self._client.on_handshake(frame)
        except (TimeoutError, asyncio.IncompleteReadError) as error:
            await self._stop()
            reason = f"the {options.name} sent no handshake within {options.start_s:g} s"
            if isinstance(error, asyncio.IncompleteReadError):
                reason = f"the {options.name} exited before its handshake"
            raise EngineFailed(options.unavailable_code, reason) from error
        except BaseException:
            await self._stop()
            raise
        self._watch = self._new_watch()
        self._ready.set()
        seconds = round(loop.time() - started_s, 2)
        log.info("worker process ready", extra={"worker": options.name, "seconds": seconds})

    async def _supervise(self) -> None:
        """Read the frames of the process; replace it each time it is gone."""
        loop = asyncio.get_running_loop()
        name, delays_s = self._options.name, self._options.restart_delays_s
        quick_exits = 0
        while True:
            ready_s = loop.time()
            await self._read_frames()
            exit_code = await self._stop()
            quick_exits = 0 if loop.time() - ready_s > _STEADY_S else quick_exits + 1
            log.error("worker process died", extra={"worker": name, "exit_code": exit_code})
            failed_restarts = 0
            while not self.ready:
                await asyncio.sleep(delays_s[min(quick_exits, len(delays_s) - 1)])
                try:
                    await self._start()
                except (EngineFailed, OSError) as error:
                    quick_exits += 1
                    failed_restarts += 1
                    log.error("worker process did not start", extra={"worker": name, "reason": str(error)})
                    if failed_restarts == self._options.max_failed_restarts:
                        raise EngineFailed(self._options.unavailable_code, f"the {name} does not start") from error

    async def _read_frames(self) -> None:
        """Pass frames to the client until the process exits, hangs or sends a malformed frame."""
        process = cast(Process, self._process)
        try:
            async with background(self._kill_when_hung(process), f"{self._options.name} watchdog"):
                while True:
                    frame = await self._read_frame(process)
                    self._watch.hear_frame()
                    if self._client.on_frame(frame):
                        self._watch.end_request()
        except asyncio.IncompleteReadError:
            return
        except EngineFailed as error:
            extra = {"worker": self._options.name, "reason": str(error)}
            log.error("worker process sent a malformed frame", extra=extra)

    async def _read_frame(self, process: Process) -> WorkerFrame:
        """Raises `asyncio.IncompleteReadError` at the end of the output, `EngineFailed` for a malformed header."""
        output = cast(asyncio.StreamReader, process.stdout)
        kind, number, size = FRAME_HEADER.unpack(await output.readexactly(FRAME_HEADER.size))
        if size > _MAX_PAYLOAD_BYTES:
            reason = f"the {self._options.name} sent a frame of kind {kind} with {size} bytes"
            raise EngineFailed(self._options.malformed_code, reason)
        return WorkerFrame(kind, number, await output.readexactly(size))

    async def _kill_when_hung(self, process: Process) -> None:
        watch = self._watch
        while True:
            await asyncio.sleep(watch.check_s)
            if reason := watch.find_hang():
                extra = {"worker": self._options.name, "unanswered": watch.unanswered, "reason": reason}
                log.error("worker process hung", extra=extra)
                if process.returncode is None:
                    process.kill()
                return

    def _new_watch(self) -> WorkerWatch:
        def used_s() -> float | None:
            return None if self._process is None else processor_time_s(self._process.pid)

        return WorkerWatch(self._options.hang_s, self._options.stall_s, time.monotonic, used_s)

    async def _stop(self) -> int | None:
        """Kill the process, which has no state to save, and fail the client's work; return the exit code."""
        process, self._process = self._process, None
        if process is None:
            return None
        was_ready = self.ready
        self._ready.clear()
        if was_ready:
            self._client.on_exit()
        if process.returncode is None:
            process.kill()
        return await asyncio.shield(process.wait())
