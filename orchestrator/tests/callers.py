"""Clients that call, drop and call again; and sessions whose services hear nothing."""

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


class Quiet:
    """A peer that hears nothing."""

    @asynccontextmanager
    async def open(self, language: str) -> AsyncGenerator[Quiet]:
        yield self

    async def push_audio(self, chunk: object) -> None:
        pass

    async def events(self) -> AsyncGenerator[object]:
        await asyncio.Event().wait()
        yield

    transcripts = events


class Slow(Quiet):
    """One that takes its time to let go."""

    @asynccontextmanager
    async def open(self, language: str) -> AsyncGenerator[Quiet]:
        try:
            yield self
        finally:
            await asyncio.sleep(0.1)


class Caller:
    """A client of the sessions: comes in, speaks when asked to, and leaves in one way or another."""

    def __init__(self, lobby: SessionRegistry, *, resumable: bool = True) -> None:
        self._lobby = lobby
        self._resumable = resumable
        self._said: asyncio.Queue[bytes | Command | BaseException | None] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self.told: list[object] = []
        self.started: SessionStarted | None = None

    async def send(self, message: object) -> None:
        self.told.append(message)
        if isinstance(message, SessionStarted):
            self.started = message

    async def send_audio(self, pcm: bytes) -> None:
        pass

    async def _source(self) -> AsyncGenerator[bytes | Command]:
        while (said := await self._said.get()) is not None:
            if isinstance(said, BaseException):
                raise said
            yield said

    async def _serve(self, start: SessionStart) -> None:
        async with self._lobby.open(start, self, resumable=self._resumable) as session:
            await session.run(self._source())

    async def come(self, says: str = "hello", **start: object) -> Caller:
        """Come in. Raises what the door says."""
        self._task = asyncio.create_task(self._serve(SessionStart(**start)))
        async with asyncio.timeout(5):
            while self.started is None and not self._task.done():
                await asyncio.sleep(0.005)
        if self.started is None:
            self._task.result()
        elif says:
            self._lobby.conversation(self.started.ticket).history.add_user_turn(1, says)
        return self

    def say(self, command: Command) -> None:
        self._said.put_nowait(command)

    def speak(self) -> None:
        self._said.put_nowait(FRAME)

    def hang_up(self) -> None:
        self._said.put_nowait(None)

    async def leave(self, how: BaseException | None = None) -> None:
        """Hang up; or drop, with `LineDropped`."""
        self._said.put_nowait(how)
        await self.gone()

    async def gone(self) -> None:
        async with asyncio.timeout(3):
            await self._task

    def cancel(self) -> None:
        self._task.cancel()

    @property
    def ended(self) -> list[str]:
        return [message.code for message in self.told if isinstance(message, SessionEnded)]


class Deaf(Caller):
    """One that reads no further than its greeting."""

    async def send(self, message: object) -> None:
        await super().send(message)
        if isinstance(message, Choices):
            await asyncio.Event().wait()


async def status() -> SystemStatus:
    return SystemStatus(())


def sessions(*, stt: Quiet | None = None, **rules: object) -> SessionRegistry:
    services = Services(
        voice_activity=stt or Quiet(),
        speech_to_text=stt or Quiet(),
        language_model=lambda: None,
        text_to_speech=None,
        personas={"anchor": Persona("anchor", "Nora", "")},
        system_status=status,
    )
    return SessionRegistry(
        **{"services": services, "rules": TurnRules(), "language": "en", "persona": "anchor", "capacity": 2, **rules}
    )
