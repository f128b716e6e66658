"""The local model as the fallback of a real language model, with the briefing behind it."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing

from service_kit.errors import AnchorError

from orchestrator.conversation.model.ports import LanguageModel, Prompt

log = logging.getLogger(__name__)


class LocalFallback:
    """Answers by `local` while its server answers, and else by `briefing`. One per session."""

    def __init__(self, local: LanguageModel, briefing: LanguageModel) -> None:
        self._local = local
        self._briefing = briefing
        self._answered_by = local

    @property
    def name(self) -> str:
        """The engine of the last reply."""
        return self._answered_by.name

    async def reply(self, prompt: Prompt) -> AsyncGenerator[str]:
        """Yield the reply. Raises `AnchorError` after the first piece only, or when the briefing fails too."""
        self._answered_by = self._local
        async with aclosing(self._local.reply(prompt)) as pieces:
            first: str | None = None
            try:
                first = await anext(pieces, None)
            except AnchorError as error:
                log.info("the briefing answers", extra={"code": error.code, "reason": error.message})
            if first is not None:
                yield first
                async for piece in pieces:
                    yield piece
                return
        self._answered_by = self._briefing
        async with aclosing(self._briefing.reply(prompt)) as pieces:
            async for piece in pieces:
                yield piece

    async def prefill(self, prompt: Prompt) -> None:
        """Load the passage into the local model. Raises `AnchorError`."""
        await self._local.prefill(prompt)
