"""A real mesh whose connections, peers, processes, disk and clock can fail: proxies, stand-ins and signals around it.

listener ── FaultProxy, or MessageProxy ── orchestrator ── FaultProxy ── vad, stt, tts, or a stand-in peer
                                                     └─ StandInLlm
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import Generator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from fault_proxy import FaultProxy
from loop_thread import LoopThread
from mesh_launcher import SERVICES, RunningMesh, launch_mesh, reserve_ports
from message_proxy import MessageProxy
from orchestrator.conversation.model.store import conversation_key
from stand_in_llm import StandInLlm

HOOK = Path(__file__).parent / "hook"
PROBE_WITHIN_S = 1.0
PROBE_EVERY_S = 0.1
QUESTION = "how is the bridge"
MS_PER_CHARACTER = 50
# The first is as long as most faults need; the other is longer than what is sent ahead of the listener.
SHORT_ANSWER = "The bridge is open to all, from nine to five."
LONG_ANSWER = (
    "The bridge is open to all, from nine to five. On Sundays it is closed to cars, and the ferry takes them across "
    "the water at every full hour. Bring a coat, because the wind is cold up there."
)
SCRIPT = f"""
[stt]
transcripts = ["{QUESTION}"]
final_after = "flush"
final_delay_ms = 100
[tts]
first_audio_delay_ms = 60
real_time_factor = 0.2
ms_per_character = {MS_PER_CHARACTER}
"""


@dataclass(frozen=True)
class StoredTurn:
    """One turn as the store has it."""

    turn_id: int
    role: str
    text: str


@dataclass
class FaultyMesh:
    """A running mesh with everything that can fail it. `links` are the proxies in front of the services, by name."""

    mesh: RunningMesh
    thread: LoopThread
    links: dict[str, FaultProxy]
    client_line: FaultProxy
    client_messages: MessageProxy
    llm: StandInLlm
    database: Path
    faults_file: Path
    real_speech: bool = False
    # The question as real speech to text hears it without a fault.
    heard_question: str = ""
    fault_values: dict[str, float] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Where listeners connect."""
        return f"ws://127.0.0.1:{self.client_line.port}/ws/audio"

    @property
    def messages_url(self) -> str:
        """Where listeners connect whose messages are mangled."""
        return f"ws://127.0.0.1:{self.client_messages.port}/ws/audio"

    def service_port(self, service: str) -> int:
        """The gRPC port of a service's own process."""
        return int(getattr(self.mesh.settings, f"{service}_grpc_port"))

    def workers_of(self, module: str) -> list[int]:
        """The worker processes whose command line names `module`."""
        return [pid for pid, command in self.mesh.processes().items() if module in command]

    def is_question(self, text: str) -> bool:
        """Whether a transcript is the question: with real speech to text, most of its words."""
        if not self.real_speech:
            return QUESTION in text
        if not self.heard_question:
            return bool(text)
        words = set(self.heard_question.split())
        return len(words & set(text.split())) * 2 > len(words)

    def set_fault_values(self, **values: float) -> None:
        """Say what the next signal to a hooked process does."""
        self.fault_values |= values
        self.faults_file.write_text(json.dumps(self.fault_values), "utf-8")

    async def is_ready(self) -> bool:
        """Whether every service answers 200 at `/ready`."""
        ports = [int(getattr(self.mesh.settings, f"{service}_http_port")) for service in SERVICES]
        return all(await asyncio.gather(*map(_is_ready, ports)))

    async def until_ready(self, within_s: float) -> float:
        """Wait until every service is ready; returns when, on the loop's clock. Raises `TimeoutError`."""
        async with asyncio.timeout(within_s):
            while not await self.is_ready():
                await asyncio.sleep(PROBE_EVERY_S)
        return asyncio.get_running_loop().time()

    def stored_turns(self, ticket: str) -> list[StoredTurn]:
        """What the database has of a conversation, read beside the orchestrator; empty while it has no tables."""
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=5)) as database:
            try:
                rows = database.execute(
                    "SELECT turn_id, role, text FROM messages WHERE conversation_id = ? ORDER BY turn_id, position",
                    (conversation_key(ticket),),
                ).fetchall()
            except sqlite3.OperationalError as error:
                if "no such table" not in str(error):
                    raise
                return []
        return [StoredTurn(*row) for row in rows]


async def _is_ready(port: int) -> bool:
    try:
        async with asyncio.timeout(PROBE_WITHIN_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(b"GET /ready HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
                return b" 200 " in await reader.readline()
            finally:
                writer.transport.abort()
    except (OSError, TimeoutError):
        return False


@contextmanager
def launch_faulty_mesh(folder: Path, *, real_speech: bool = False) -> Generator[FaultyMesh]:
    """Start a mesh on scripted engines, or with `real_speech` on the minimal ones, and stop it at the end.

    Either way the language model is a stand-in, and conversations are stored in `folder`.
    """
    (folder / "script.toml").write_text(SCRIPT, "utf-8")
    database, faults_file = folder / "conversations.db", folder / "faults.json"
    with ExitStack() as stack:
        thread = stack.enter_context(LoopThread())
        vad, stt, tts, llm_port, line, messages = stack.enter_context(reserve_ports(6))
        links = {"vad": FaultProxy(vad), "stt": FaultProxy(stt), "tts": FaultProxy(tts)}
        client_line, client_messages, llm = FaultProxy(line), MessageProxy(messages), StandInLlm(llm_port)
        for server in (*links.values(), client_line, client_messages, llm):
            thread.run(server.start())
            stack.callback(lambda server=server: thread.run(server.close()))
        engines = {} if real_speech else {"STT_ENGINE": "scripted", "TTS_ENGINE": "scripted"}
        environment = {
            **{f"{name.upper()}_TARGET": f"127.0.0.1:{link.port}" for name, link in links.items()},
            **engines,
            "ORCHESTRATOR_LLM": "openai",
            "LLM_OPENAI_URL": f"http://127.0.0.1:{llm_port}/v1",
            "ORCHESTRATOR_STORE": f"sqlite:///{database}",
            "ANCHOR_SCRIPT": str(folder / "script.toml"),
            "ANCHOR_FAULTS": str(faults_file),
            "PYTHONPATH": str(HOOK),
        }
        mesh = stack.enter_context(launch_mesh(**environment))
        for name, link in links.items():
            link.upstream_port = int(getattr(mesh.settings, f"{name}_grpc_port"))
        client_line.upstream_port = mesh.settings.orchestrator_http_port
        client_messages.upstream_url = mesh.url
        faulty = FaultyMesh(mesh, thread, links, client_line, client_messages, llm, database, faults_file, real_speech)
        until_s = time.monotonic() + 30
        while not thread.run(faulty.is_ready()):
            assert time.monotonic() < until_s, "the mesh is not ready"
            time.sleep(PROBE_EVERY_S)
        yield faulty
