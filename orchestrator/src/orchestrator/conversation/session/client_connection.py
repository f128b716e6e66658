"""Attendance: one client in a session, from its coming in to its hanging up, or until its line drops.

The session lives in a task of its own, which outlives a line that drops; all that belongs to the line (what comes from
the client, what goes to it, what it is told unasked) is a child of `run`, and ends with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from service_kit.errors import AnchorError, root_cause

from orchestrator.conversation.connection.connection import Line
from orchestrator.conversation.messages.client import Command
from orchestrator.conversation.model.ports import LineDropped, PageLeft
from orchestrator.conversation.session.session import Session


@dataclass(frozen=True, slots=True)
class Living:
    """A session, and the task that it lives in."""

    session: Session
    task: asyncio.Task[None]

    @property
    def is_over(self) -> bool:
        """Whether it has ended, or is about to: nobody is let in any more."""
        return self.task.done() or self.session.presence.is_over


class Attendance:
    """With `resumable`, the session waits for a client whose line dropped."""

    def __init__(self, living: Living, line: Line, *, resumable: bool) -> None:
        self._session = living.session
        self._living = living.task
        self._line = line
        self._resumable = resumable
        # Whether the client hung up, or was told that it is over: nobody will come back.
        self._ended = False
        self._page_left = False
        self._session.presence.attach(line)

    async def run(self, source: AsyncIterator[bytes | Command]) -> None:
        """Serve until `source` ends. It yields microphone audio (PCM16 mono 16 kHz) and commands.

        Raises the `AnchorError` that ended the session, if one did; the client has been told.
        """
        dropped = False
        try:
            async with asyncio.TaskGroup() as group:
                serving = [group.create_task(work) for work in (self._receive(source), self._tell(), self._watch())]
                await self._line.deliver()
                for task in serving:
                    task.cancel()
        except* LineDropped as drops:
            dropped = True
            self._page_left = isinstance(root_cause(drops), PageLeft)
        except* AnchorError as failures:
            # The client does not read: what the session ends with, it cannot be told.
            self._end(root_cause(failures))
        self._ended = not dropped
        if self._ended and self._session.presence.line is self._line:
            await asyncio.wait((self._living,))
            if not self._living.cancelled():
                self._living.result()

    async def leave(self) -> None:
        """The client is gone, for now or for good."""
        self._line.drop()
        if self._resumable and not self._ended:
            self._session.presence.lose(self._line, page_left=self._page_left)
        elif self._session.presence.line is self._line:
            self._session.presence.end()
            await asyncio.wait((self._living,))

    async def _watch(self) -> None:
        """The line ends with the session, whatever ends that."""
        await asyncio.wait((self._living,))
        self._line.hang_up(None)

    async def _receive(self, source: AsyncIterator[bytes | Command]) -> None:
        try:
            async for item in source:
                if self._session.presence.line is not self._line:
                    return
                self._line.heard()
                await self._session.take(item)
        except AnchorError as error:
            self._end(error)
        else:
            self._end(None)

    def _end(self, error: BaseException | None) -> None:
        if self._session.presence.line is self._line:
            self._session.presence.end(error)

    async def _tell(self) -> None:
        await self._line.greeted.wait()
        await self._session.presence.tell_news(self._line.send)
