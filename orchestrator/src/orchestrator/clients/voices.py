"""The voices there are: asked for now and then, so that a choice can be checked without a wait."""

from __future__ import annotations

import asyncio
import logging
from types import TracebackType
from typing import Self

from service_kit.errors import AnchorError
from service_kit.tasks import start_task, stop_task

from orchestrator.clients.tts import TtsClient
from orchestrator.conversation.messages.server import VoiceChoice
from orchestrator.conversation.model.observable import Observable

log = logging.getLogger(__name__)

# Whoever has a voice learned looks for it in the list; a voice service that is not up yet is asked again sooner.
_INTERVAL_S = 5.0
_RETRY_S = 2.0


class VoiceWatch:
    """Keeps the list from entering the context to leaving it; empty until the voice service has answered once."""

    def __init__(self, tts: TtsClient) -> None:
        self._tts = tts
        self._task: asyncio.Task[None] | None = None
        self.latest = Observable[tuple[VoiceChoice, ...]](())

    @property
    def ids(self) -> tuple[str, ...]:
        """What voices are named by."""
        return tuple(voice.id for voice in self.latest.value)

    async def __aenter__(self) -> Self:
        self._task = start_task(self._watch(), "voice watch")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await stop_task(self._task)

    async def _watch(self) -> None:
        while True:
            try:
                self.latest.set(await self._tts.voices())
                await asyncio.sleep(_INTERVAL_S)
            except AnchorError as error:
                log.debug("voices not listed", extra={"code": error.code})
                await asyncio.sleep(_RETRY_S)
