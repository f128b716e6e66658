"""Polls the list of voices, so that a client's choice is checked without waiting for tts-service."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Self

from service_kit.errors import AnchorError
from service_kit.tasks import background

from orchestrator.clients.tts import TtsClient
from orchestrator.conversation.messages.server import VoiceChoice
from orchestrator.conversation.model.observable import Observable

log = logging.getLogger(__name__)

# Short enough for a voice that another client of tts-service adds to appear soon; shorter while that does not answer.
_INTERVAL_S = 5.0
_RETRY_S = 2.0


class VoiceWatch:
    """Polls the voices while its context is open; the list is empty until tts-service has answered once."""

    def __init__(self, tts: TtsClient) -> None:
        self._tts = tts
        self.latest = Observable[tuple[VoiceChoice, ...]](())

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of all voices."""
        return tuple(voice.id for voice in self.latest.value)

    async def refresh(self) -> None:
        """List the voices now; called when one was added or deleted. Raises `PeerFailed`."""
        self.latest.set(await self._tts.voices())

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[Self]:
        """Poll the voices inside the context."""
        async with background(self._watch(), "voice watch"):
            yield self

    async def _watch(self) -> None:
        while True:
            try:
                await self.refresh()
                await asyncio.sleep(_INTERVAL_S)
            except AnchorError as error:
                log.debug("listing voices failed", extra={"code": error.code})
                await asyncio.sleep(_RETRY_S)
