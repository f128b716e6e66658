"""One client's connection: a bounded send queue, and detection of a connection that has gone silent."""

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

# Unread audio and messages beyond which a client counts as not reading. Playout runs at most 2 s ahead of playback;
# the text of a reply is faster than its speech.
_MAX_AUDIO_BYTES = SPEECH.bytes_for(8_000)
_MAX_MESSAGES = 4_000
# How long one write may take before the client counts as gone.
_SEND_TIMEOUT_S = 10.0
_CLOSE_TIMEOUT_S = 1.0
# A connection with input in the last `_ACTIVE_WITHIN_S` has gone silent when no more arrives for `_SILENT_AFTER_S`.
_ACTIVE_WITHIN_S = 2.0
_SILENT_AFTER_S = 1.0

log = logging.getLogger(__name__)


class Connection:
    """A bounded send queue to one client, and the time of its last input.

    Overflow ends the session: a client that misses messages would show a wrong state.
    """

    def __init__(self, client: Client, received: ReplyReceived | None = None) -> None:
        """`received` is the part of an interrupted reply that a reconnecting client has already."""
        self.received = received
        self._client = client
        self._now_s = asyncio.get_running_loop().time
        self._items: deque[ServerMessage | bytes] = deque()
        self._audio_bytes = 0
        self._queue_changed = asyncio.Event()
        self._closed = False
        self._last_input_s = -math.inf
        self._max_messages = _MAX_MESSAGES
        # Set when the greeting is queued.
        self.greeted = asyncio.Event()

    # To the client --------------------------------------------------------------------------------------------------

    def greet(self, messages: Iterable[ServerMessage]) -> None:
        """Queue the greeting and the replay; their number raises the limit, since they are queued all at once."""
        if not self._closed:
            self._items.extend(messages)
            self._max_messages += len(self._items)
            self._queue_changed.set()
        self.greeted.set()

    def send(self, message: ServerMessage) -> None:
        """Queue a message; ignored once closed. Raises `AtCapacity` when the client does not read."""
        if self._closed:
            return
        self._items.append(message)
        self._queue_changed.set()
        if len(self._items) > self._max_messages:
            raise AtCapacity("session.client_too_slow", "the client does not read its messages")

    def send_audio(self, pcm: bytes) -> None:
        """Queue speech, PCM16 mono 24 kHz; ignored once closed. Raises `AtCapacity` when the client does not read."""
        if self._closed:
            return
        self._audio_bytes += len(pcm)
        if self._audio_bytes > _MAX_AUDIO_BYTES:
            raise AtCapacity("session.client_too_slow", "the client does not read its audio")
        self._items.append(pcm)
        self._queue_changed.set()

    def drop_audio(self) -> None:
        """Discard queued audio."""
        self._items = deque(item for item in self._items if not isinstance(item, bytes))
        self._audio_bytes = 0

    def close(self, last: SessionEnded | None) -> None:
        """Close after the queued messages, without the queued audio, and `last`."""
        if self._closed:
            return
        self._closed = True
        self.drop_audio()
        if last is not None:
            self._items.append(last)
        self._queue_changed.set()

    def drop(self) -> None:
        """Close without sending: the client is gone."""
        self._closed = True
        self._items.clear()
        self._queue_changed.set()

    async def run_sender(self) -> None:
        """Send queued items until closed. Raises `AtCapacity` when a write takes too long."""
        try:
            async with IdleTimeout(_SEND_TIMEOUT_S) as timeout:
                while not self._closed:
                    while self._items and not self._closed:
                        timeout.reset()
                        await self._send_next()
                    timeout.suspend()
                    if not self._closed:
                        self._queue_changed.clear()
                        await self._queue_changed.wait()
        except TimeoutError as error:
            raise AtCapacity("session.client_too_slow", "a write to the client timed out") from error
        await self._send_last()

    async def _send_last(self) -> None:
        """Send the last messages, for at most `_CLOSE_TIMEOUT_S`: the client may be gone."""
        try:
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                while self._items:
                    await self._send_next()
        except (TimeoutError, AnchorError) as error:
            log.debug("last messages not sent", extra={"reason": str(error)})

    async def _send_next(self) -> None:
        item = self._items.popleft()
        if isinstance(item, bytes):
            self._audio_bytes = max(0, self._audio_bytes - len(item))
            await self._client.send_audio(item)
        else:
            await self._client.send(item)

    # From the client ------------------------------------------------------------------------------------------------

    def on_activity(self) -> None:
        """Record that input arrived from the client."""
        self._last_input_s = self._now_s()

    async def has_gone_silent(self) -> bool:
        """Whether continuous input has stopped; takes `_SILENT_AFTER_S`.

        False for a client without recent input, such as a muted one: its silence proves nothing.
        """
        before_s = self._last_input_s
        if self._now_s() - before_s > _ACTIVE_WITHIN_S:
            return False
        await asyncio.sleep(_SILENT_AFTER_S)
        return self._last_input_s == before_s
