"""A mesh under attack, seen from outside: what it spends, and how a well-behaved client fares meanwhile."""

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
from typing import Any

from anchor_cli.talk.conversation_client import Talk, open_talk

log = logging.getLogger(__name__)

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
SAMPLE_EVERY_S = 0.02
# The scripted engines answer in some 70 ms; other work on the machine may take its share.
ANSWER_WITHIN_S = 2.5


@dataclass
class Cost:
    """What the mesh spent: processor seconds of all its processes, and the most memory above where it began."""

    cpu_s: float = 0.0
    memory_bytes: int = 0
    wall_s: float = 0.0


@dataclass
class Service:
    """How the well-behaved client was served: from each question to the first sound of its answer, in seconds."""

    waits_s: list[float] = field(default_factory=list)


class HostileGround:
    """A running mesh, and instruments on it."""

    def __init__(self, mesh: Any) -> None:
        self.mesh = mesh
        self.http_port: int = mesh.settings.orchestrator_http_port
        self.grpc_target = f"127.0.0.1:{mesh.settings.orchestrator_grpc_port}"
        self.url = f"http://127.0.0.1:{self.http_port}"
        self.simple_url = f"ws://127.0.0.1:{self.http_port}/ws"
        self.audio_url: str = mesh.url
        self.orchestrator: int = mesh.process_of("orchestrator")
        self._processes = list(mesh.processes())

    def open_files(self) -> int:
        """File descriptors that the orchestrator holds."""
        return len(list(Path(f"/proc/{self.orchestrator}/fd").iterdir()))

    def failed_calls(self, code: str) -> int:
        """How many gRPC calls have failed with this code, by the combined log."""
        lines = (self.mesh.settings.run_folder / "mesh.log").read_text("utf-8").splitlines()
        return sum('"message": "call failed"' in line and f'"code": "{code}"' in line for line in lines)

    @contextmanager
    def measured(self, attack: str) -> Iterator[Cost]:
        """What the mesh spends inside the context; logged under the name of the attack."""
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
    async def unharmed(self) -> AsyncGenerator[Service]:
        """Inside the context a well-behaved client keeps asking, and must be answered as always."""
        service = Service()
        async with open_talk(self.audio_url) as talk:
            await _ask(talk)
            asking = asyncio.create_task(_keep_asking(talk, service))
            try:
                yield service
                # An answer to a question that was asked after the attack, or during all of it.
                await _until_answered(service, asking, len(service.waits_s) + 2)
            finally:
                asking.cancel()
                await asyncio.wait((asking,))
                # A client that leaves in the middle of speech reads it to its end first, for up to 10 s.
                await talk.say("interrupt")
                await asyncio.sleep(0.1)
            if not asking.cancelled():
                asking.result()
        assert max(service.waits_s) < ANSWER_WITHIN_S, service.waits_s

    def _cpu_s(self) -> float:
        """Of all processes, and of those of their children that have ended."""
        spent = 0.0
        for process in self._processes:
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
            spent += sum(map(int, fields[11:15])) * TICK_S
        return spent

    def _memory_bytes(self) -> int:
        """Resident memory of all processes, those that decode recordings too."""
        children = {
            int(child)
            for tasks in Path(f"/proc/{self.orchestrator}/task").glob("*/children")
            for child in tasks.read_text().split()
        }
        decoders = filter(_decodes, children)
        return sum(map(_resident_bytes, {*self._processes, *decoders}))


def _decodes(process: int) -> bool:
    """Whether it has its own program already: until then it counts the orchestrator's memory a second time."""
    try:
        return b"orchestrator.api.audio.decode" in Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return False  # It ended while we looked.


def _resident_bytes(process: int) -> int:
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * PAGE_BYTES
    except (OSError, IndexError):
        return 0  # It ended while we looked.


async def _ask(talk: Talk) -> float:
    """Ask, hear the first sound of the answer, interrupt it; how long the sound took, in seconds."""
    asked_s = time.monotonic()
    await talk.say("text_input", text="what is new")
    await talk.until("reply_audio", within_s=10)
    waited_s = time.monotonic() - asked_s
    await talk.say("interrupt")
    await talk.until("reply_finished", within_s=10)
    return waited_s


async def _keep_asking(talk: Talk, service: Service) -> None:
    while True:
        await asyncio.sleep(0.02)
        service.waits_s.append(await _ask(talk))


async def _until_answered(service: Service, asking: asyncio.Task[None], times: int) -> None:
    async with asyncio.timeout(2 * ANSWER_WITHIN_S):
        while len(service.waits_s) < times and not asking.done():
            await asyncio.sleep(0.01)
