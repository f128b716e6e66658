"""A connection: the way to one client, from its coming in until it hangs up, drops, or another takes its place."""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import Iterable

from service_kit.audio import SPEECH
from service_kit.errors import AnchorError, AtCapacity

from orchestrator.conversation.messages.client import ReplyReceived
from orchestrator.conversation.messages.server import ServerMessage, SessionEnded
from orchestrator.conversation.model.idle_timeout import IdleTimeout
from orchestrator.conversation.model.ports import Client

# A client that leaves this much unread does not listen. Playout runs at most 2 s ahead of it, and a reply's text
# comes faster than its speech.
_MAX_AUDIO_BYTES = SPEECH.bytes_for(8_000)
_MAX_MESSAGES = 4_000
# How long one frame may take to leave before the client counts as gone.
_SEND_DEADLINE_S = 10.0
_CLOSE_DEADLINE_S = 1.0
# A connection over which something came this lately has fallen silent when nothing more comes for so long.
_FLOWING_S = 2.0
_FELL_SILENT_S = 1.0

log = logging.getLogger(__name__)


class Connection:
    """A bounded queue to one client, and when it was last heard of.

    Overflow ends the session: dropping messages would leave the client in a lie.
    """

    def __init__(self, client: Client, received: ReplyReceived | None = None) -> None:
        """`received` is what the client says it has of a reply that was under way."""
        self.received = received
        self._client = client
        self._now_s = asyncio.get_running_loop().time
        self._items: deque[ServerMessage | bytes] = deque()
        self._audio_bytes = 0
        self._filled = asyncio.Event()
        self._over = False
        self._heard_s = -math.inf
        self._most_messages = _MAX_MESSAGES
        # Set when the session has greeted the client.
        self.greeted = asyncio.Event()

    # Towards the client ---------------------------------------------------------------------------------------------

    def greet(self, messages: Iterable[ServerMessage]) -> None:
        """Queue what a client that comes in is told; that is as long as the latest replies, and all at once."""
        if not self._over:
            self._items.extend(messages)
            self._most_messages += len(self._items)
            self._filled.set()
        self.greeted.set()

    def send(self, message: ServerMessage) -> None:
        """Queue a message; nothing, when the connection is over. Raises `AtCapacity` when the client does not read."""
        if self._over:
            return
        self._items.append(message)
        self._filled.set()
        if len(self._items) > self._most_messages:
            raise AtCapacity("session.client_too_slow", "the client does not read what it is sent")

    def send_audio(self, pcm: bytes) -> None:
        """Queue speech; nothing, when the connection is over. Raises `AtCapacity` when the client does not read."""
        if self._over:
            return
        self._audio_bytes += len(pcm)
        if self._audio_bytes > _MAX_AUDIO_BYTES:
            raise AtCapacity("session.client_too_slow", "the client does not read the audio it is sent")
        self._items.append(pcm)
        self._filled.set()

    def drop_audio(self) -> None:
        """Forget audio that has not left yet."""
        self._items = deque(item for item in self._items if not isinstance(item, bytes))
        self._audio_bytes = 0

    def close(self, last: SessionEnded | None) -> None:
        """Send what is left without its audio, then `last`, and nothing more."""
        if self._over:
            return
        self._over = True
        self.drop_audio()
        if last is not None:
            self._items.append(last)
        self._filled.set()

    def drop(self) -> None:
        """Nobody is there any more."""
        self._over = True
        self._items.clear()
        self._filled.set()

    async def run_sender(self) -> None:
        """Send until hung up. Raises `AtCapacity` when a frame does not leave in time."""
        try:
            async with IdleTimeout(_SEND_DEADLINE_S) as deadline:
                while not self._over:
                    while self._items and not self._over:
                        deadline.reset()
                        await self._send_next()
                    deadline.suspend()
                    if not self._over:
                        self._filled.clear()
                        await self._filled.wait()
        except TimeoutError as error:
            raise AtCapacity("session.client_too_slow", "the client takes nothing") from error
        await self._send_last()

    async def _send_last(self) -> None:
        """For a moment only: the client may be gone."""
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

    # From the client ------------------------------------------------------------------------------------------------

    def on_activity(self) -> None:
        """Something came from the client just now."""
        self._heard_s = self._now_s()

    async def has_gone_silent(self) -> bool:
        """Whether something came all along until lately, and nothing does any more; takes a moment.

        Of a client that says nothing anyway, muted say, it cannot be told.
        """
        before_s = self._heard_s
        if self._now_s() - before_s > _FLOWING_S:
            return False
        await asyncio.sleep(_FELL_SILENT_S)
        return self._heard_s == before_s
