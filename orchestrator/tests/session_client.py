"""A client of the session registry that disconnects and reconnects; services that detect nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from orchestrator.conversation.messages.client import (
    Command,
    SessionStart,
)
from orchestrator.conversation.messages.server import (
    Choices,
    SessionEnded,
    SessionStarted,
)
from orchestrator.conversation.messages.system_status import SystemStatus
from orchestrator.conversation.model.ports import Persona
from orchestrator.conversation.model.services import Services
from orchestrator.conversation.session.registry import SessionRegistry
from orchestrator.conversation.turns.turn import TurnRules

FRAME = bytes(640)


class SilentService:
    """A service without events."""

    @asynccontextmanager
    async def open(self, language: str) -> AsyncGenerator[SilentService]:
        yield self

    async def push_audio(self, chunk: object) -> None:
        pass

    async def events(self) -> AsyncGenerator[object]:
        await asyncio.Event().wait()
        yield

    transcripts = events


class SlowToClose(SilentService):
    """A service whose streams take 0.1 s to close."""

    @asynccontextmanager
    async def open(self, language: str) -> AsyncGenerator[SilentService]:
        try:
            yield self
        finally:
            await asyncio.sleep(0.1)


class SessionClient:
    """A client of the registry: connects, sends on request, and ends the session or drops the connection."""

    def __init__(self, registry: SessionRegistry, *, resumable: bool = True) -> None:
        self._registry = registry
        self._resumable = resumable
        self._input: asyncio.Queue[bytes | Command | BaseException | None] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self.received: list[object] = []
        self.started: SessionStarted | None = None

    async def send(self, message: object) -> None:
        self.received.append(message)
        if isinstance(message, SessionStarted):
            self.started = message

    async def send_audio(self, pcm: bytes) -> None:
        pass

    async def _source(self) -> AsyncGenerator[bytes | Command]:
        while (item := await self._input.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item

    async def _serve(self, start: SessionStart) -> None:
        async with self._registry.open(start, self, resumable=self._resumable) as session:
            await session.run(self._source())

    async def connect(self, user_text: str = "hello", **start: object) -> SessionClient:
        """Connect, and add a user turn to the history unless `user_text` is empty. Raises the refusal."""
        self._task = asyncio.create_task(self._serve(SessionStart(**start)))
        async with asyncio.timeout(5):
            while self.started is None and not self._task.done():
                await asyncio.sleep(0.005)
        if self.started is None:
            self._task.result()
        elif user_text:
            conversation = await self._registry.find_conversation(self.started.ticket)
            conversation.history.add_user_turn(1, user_text)
        return self

    def send_command(self, command: Command) -> None:
        self._input.put_nowait(command)

    def send_audio_frame(self) -> None:
        self._input.put_nowait(FRAME)

    def end_session(self) -> None:
        self._input.put_nowait(None)

    async def disconnect(self, how: BaseException | None = None) -> None:
        """End the session, or with `ConnectionDropped` drop the connection."""
        self._input.put_nowait(how)
        await self.wait_ended()

    async def wait_ended(self) -> None:
        async with asyncio.timeout(3):
            await self._task

    def cancel(self) -> None:
        self._task.cancel()

    @property
    def ended(self) -> list[str]:
        return [message.code for message in self.received if isinstance(message, SessionEnded)]


class NonReadingClient(SessionClient):
    """A client that reads nothing after its greeting."""

    async def send(self, message: object) -> None:
        await super().send(message)
        if isinstance(message, Choices):
            await asyncio.Event().wait()


async def status() -> SystemStatus:
    return SystemStatus(())


def sessions(*, stt: SilentService | None = None, **rules: object) -> SessionRegistry:
    services = Services(
        voice_activity=stt or SilentService(),
        speech_to_text=stt or SilentService(),
        language_model=lambda: None,
        text_to_speech=None,
        personas={"anchor": Persona("anchor", "Nora", "")},
        system_status=status,
    )
    return SessionRegistry(
        **{"services": services, "rules": TurnRules(), "language": "en", "persona": "anchor", "capacity": 2, **rules}
    )
