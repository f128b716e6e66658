"""What goes to the client: messages and audio in one order, sent by one task."""

from __future__ import annotations

import asyncio
import logging
from collections import deque

from service_kit.audio import SPEECH
from service_kit.errors import AnchorError, AtCapacity

from orchestrator.conversation.deadline import Deadline
from orchestrator.conversation.messages import ServerMessage
from orchestrator.conversation.ports import Client

# A client that leaves this much unread does not listen. Playout runs at most 2 s ahead of it, and a reply's text
# comes faster than its speech.
_MAX_AUDIO_BYTES = SPEECH.bytes_for(8_000)
_MAX_MESSAGES = 4_000
# How long one frame may take to leave before the client counts as gone.
_SEND_DEADLINE_S = 10.0
_CLOSE_DEADLINE_S = 1.0

log = logging.getLogger(__name__)


class Outbox:
    """A bounded queue to the client. Overflow ends the session: dropping messages would leave it in a lie."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._items: deque[ServerMessage | bytes] = deque()
        self._audio_bytes = 0
        self._filled = asyncio.Event()

    def send(self, message: ServerMessage) -> None:
        """Queue a message. Raises `AtCapacity` when the client does not read."""
        self._items.append(message)
        self._filled.set()
        if len(self._items) > _MAX_MESSAGES:
            raise AtCapacity("session.client_too_slow", "the client does not read what it is sent")

    def send_audio(self, pcm: bytes) -> None:
        """Queue speech. Raises `AtCapacity` when the client does not read."""
        self._audio_bytes += len(pcm)
        if self._audio_bytes > _MAX_AUDIO_BYTES:
            raise AtCapacity("session.client_too_slow", "the client does not read the audio it is sent")
        self._items.append(pcm)
        self._filled.set()

    def drop_audio(self) -> None:
        """Forget audio that has not left yet."""
        self._items = deque(item for item in self._items if not isinstance(item, bytes))
        self._audio_bytes = 0

    async def run(self) -> None:
        """Send until cancelled. Raises `AtCapacity` when a frame does not leave in time."""
        try:
            async with Deadline(_SEND_DEADLINE_S) as deadline:
                while True:
                    while self._items:
                        deadline.put_off()
                        await self._send_next()
                    deadline.suspend()
                    self._filled.clear()
                    await self._filled.wait()
        except TimeoutError as error:
            raise AtCapacity("session.client_too_slow", "the client takes nothing") from error

    async def close(self, last: ServerMessage) -> None:
        """Send what is left and then `last`, for a moment only: the client may be gone."""
        self.drop_audio()
        self._items.append(last)
        try:
            async with asyncio.timeout(_CLOSE_DEADLINE_S):
                while self._items:
                    await self._send_next()
        except (TimeoutError, AnchorError) as error:
            log.debug("client took no last word", extra={"reason": str(error)})

    async def _send_next(self) -> None:
        item = self._items.popleft()
        if isinstance(item, bytes):
            self._audio_bytes = max(0, self._audio_bytes - len(item))
            await self._client.send_audio(item)
        else:
            await self._client.send(item)
