"""One client's connection to a session, from connect to disconnect.

The session runs in a task of its own, which outlives a dropped connection. Everything bound to the connection (input
from the client, output to it, notifications) is a child task of `run` and ends with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from service_kit.errors import AnchorError, root_cause
from service_kit.tasks import TaskGroup

from orchestrator.conversation.connection.connection import Connection
from orchestrator.conversation.messages.client import Command
from orchestrator.conversation.model.ports import ConnectionDropped, PageClosed
from orchestrator.conversation.session.session import Session


@dataclass(frozen=True, slots=True)
class RunningSession:
    """A session and its task."""

    session: Session
    task: asyncio.Task[None]

    @property
    def is_ending(self) -> bool:
        """Whether the session is ending or has ended, and accepts no client."""
        return self.task.done() or self.session.presence.is_ending


class ClientConnection:
    """One client's connection; with `resumable`, the session waits for a reconnect when it drops."""

    def __init__(self, running: RunningSession, connection: Connection, *, resumable: bool) -> None:
        self._session = running.session
        self._session_task = running.task
        self._connection = connection
        self._resumable = resumable
        # The client ended the session or got `session_ended`: it will not reconnect.
        self._ended = False
        self._page_closed = False
        self._session.presence.attach(connection)

    async def run(self, source: AsyncIterator[bytes | Command]) -> None:
        """Serve until `source` ends. It yields microphone audio (PCM16 mono 16 kHz) and commands.

        Raises the `AnchorError` that ended the session, if any, after the client was notified.
        """
        dropped = False
        try:
            await self._serve_until_closed(source)
        except* ConnectionDropped as drops:
            dropped = True
            self._page_closed = isinstance(root_cause(drops), PageClosed)
        except* AnchorError as failures:
            # The client does not read, so it cannot be notified of the error.
            self._end(root_cause(failures))
        self._ended = not dropped
        if self._ended and self._session.presence.connection is self._connection:
            await asyncio.wait((self._session_task,))
            if not self._session_task.cancelled():
                self._session_task.result()

    async def _serve_until_closed(self, source: AsyncIterator[bytes | Command]) -> None:
        async with TaskGroup() as group:
            tasks = [
                group.create_task(work)
                for work in (self._receive(source), self._send_notifications(), self._close_with_session())
            ]
            await self._connection.run_sender()
            for task in tasks:
                task.cancel()

    async def disconnect(self) -> None:
        """Drop the connection for good; the session waits for a reconnect, or ends."""
        self._connection.drop()
        if self._resumable and not self._ended:
            self._session.presence.on_connection_lost(self._connection, page_closed=self._page_closed)
        elif self._session.presence.connection is self._connection:
            self._session.presence.end()
            await asyncio.wait((self._session_task,))
        # The traceback of the error that ended the session refers to this object.
        del self._session_task

    async def _close_with_session(self) -> None:
        """Close the connection when the session ends, for any reason."""
        await asyncio.wait((self._session_task,))
        self._connection.close(None)

    async def _receive(self, source: AsyncIterator[bytes | Command]) -> None:
        try:
            async for item in source:
                if self._session.presence.connection is not self._connection:
                    return
                self._connection.on_activity()
                await self._session.handle_input(item)
        except AnchorError as error:
            self._end(error)
        else:
            self._end(None)

    def _end(self, error: BaseException | None) -> None:
        if self._session.presence.connection is self._connection:
            self._session.presence.end(error)

    async def _send_notifications(self) -> None:
        await self._connection.greeted.wait()
        await self._session.presence.send_notifications(self._connection.send)
