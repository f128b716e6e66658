"""A mesh under attack: measures its resources, and the latency of a well-behaved client meanwhile."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from anchor_cli.client.session_client import SessionClient, open_session
from mesh_launcher import RunningMesh

log = logging.getLogger(__name__)

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
SAMPLE_EVERY_S = 0.02
# The scripted engines answer in about 70 ms, the default ones in about 150; other work on the machine may delay them.
ANSWER_WITHIN_S = 2.5


@dataclass
class Cost:
    """Resources used by the mesh: processor seconds of all processes, and the peak of memory above the start."""

    cpu_s: float = 0.0
    memory_bytes: int = 0
    wall_s: float = 0.0


@dataclass
class BystanderWaits:
    """The well-behaved client's waits from each question to the first audio of its answer, in seconds."""

    waits_s: list[float] = field(default_factory=list)


class AttackedMesh:
    """A running mesh with measuring instruments."""

    def __init__(self, mesh: RunningMesh) -> None:
        self.mesh = mesh
        self.http_port: int = mesh.settings.orchestrator_http_port
        self.grpc_target = f"127.0.0.1:{mesh.settings.orchestrator_grpc_port}"
        self.url = f"http://127.0.0.1:{self.http_port}"
        self.simple_url = f"ws://127.0.0.1:{self.http_port}/ws"
        self.audio_url: str = mesh.url
        self.orchestrator: int = mesh.process_of("orchestrator")
        self._processes = list(mesh.processes())

    def open_files(self) -> int:
        """The number of the orchestrator's open file descriptors."""
        return len(list(Path(f"/proc/{self.orchestrator}/fd").iterdir()))

    def failed_calls(self, code: str) -> int:
        """The number of failed gRPC calls with this code in the combined log."""
        lines = (self.mesh.settings.run_folder / "mesh.log").read_text("utf-8").splitlines()
        return sum('"message": "call failed"' in line and f'"code": "{code}"' in line for line in lines)

    @contextmanager
    def measure_cost(self, attack: str) -> Iterator[Cost]:
        """Measure the resources used inside the context; logged under the name of the attack."""
        cost = Cost()
        before_s, began_s, before_bytes = self._cpu_s(), time.monotonic(), self._memory_bytes()
        peak_bytes = before_bytes
        over = threading.Event()

        def sample() -> None:
            nonlocal peak_bytes
            while not over.wait(SAMPLE_EVERY_S):
                peak_bytes = max(peak_bytes, self._memory_bytes())

        sampler = threading.Thread(target=sample)
        sampler.start()
        try:
            yield cost
        finally:
            over.set()
            sampler.join()
            cost.wall_s = time.monotonic() - began_s
            cost.cpu_s = self._cpu_s() - before_s
            cost.memory_bytes = max(peak_bytes, self._memory_bytes()) - before_bytes
            log.info("%s: %.2f s of %.2f s, %.1f MiB", attack, cost.cpu_s, cost.wall_s, cost.memory_bytes / 2**20)

    @asynccontextmanager
    async def serving_bystander(self) -> AsyncGenerator[BystanderWaits]:
        """Run a well-behaved client inside the context; fails when an answer is late."""
        bystander = BystanderWaits()
        async with open_session(self.audio_url) as talk:
            await _ask_and_interrupt(talk)
            asking = asyncio.create_task(_keep_asking(talk, bystander))
            try:
                yield bystander
                # Two more answers: at least one question was asked after the attack.
                await _wait_for_answers(bystander, asking, len(bystander.waits_s) + 2)
            finally:
                asking.cancel()
                await asyncio.wait((asking,))
                # A client that closes during speech first reads it to the end, for up to 10 s.
                await talk.send_message("interrupt")
                await asyncio.sleep(0.1)
            if not asking.cancelled():
                asking.result()
        assert max(bystander.waits_s) < ANSWER_WITHIN_S, bystander.waits_s

    def _cpu_s(self) -> float:
        """Processor seconds of all processes and their ended children."""
        spent = 0.0
        for process in self._processes:
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
            spent += sum(map(int, fields[11:15])) * TICK_S
        return spent

    def _memory_bytes(self) -> int:
        """Resident memory of all processes, including those that decode recordings."""
        children = {
            int(child)
            for tasks in Path(f"/proc/{self.orchestrator}/task").glob("*/children")
            for child in tasks.read_text().split()
        }
        decoders = filter(_is_decoder, children)
        return sum(map(_resident_bytes, {*self._processes, *decoders}))


def _is_decoder(process: int) -> bool:
    """Whether the process has executed the decoder; before, it would count the orchestrator's memory twice."""
    try:
        return b"orchestrator.api.audio.decode" in Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return False  # The process ended meanwhile.


def _resident_bytes(process: int) -> int:
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * PAGE_BYTES
    except (OSError, IndexError):
        return 0  # The process ended meanwhile.


async def _ask_and_interrupt(talk: SessionClient) -> float:
    """Ask, receive the first audio of the answer, interrupt it; return the wait for the audio in seconds."""
    asked_s = time.monotonic()
    await talk.send_message("text_input", text="what is new")
    await talk.wait_for("reply_audio", within_s=10)
    waited_s = time.monotonic() - asked_s
    await talk.send_message("interrupt")
    await talk.wait_for("reply_finished", within_s=10)
    return waited_s


async def _keep_asking(talk: SessionClient, bystander: BystanderWaits) -> None:
    while True:
        await asyncio.sleep(0.02)
        bystander.waits_s.append(await _ask_and_interrupt(talk))


async def _wait_for_answers(bystander: BystanderWaits, asking: asyncio.Task[None], times: int) -> None:
    async with asyncio.timeout(2 * ANSWER_WITHIN_S):
        while len(bystander.waits_s) < times and not asking.done():
            await asyncio.sleep(0.01)
