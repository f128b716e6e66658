"""The language of a service's stream, which a change reopens."""

from __future__ import annotations

import asyncio
from typing import NoReturn


class LanguageChanged(Exception):
    """Reopens a stream with another language."""


class StreamLanguage:
    """The language (ISO 639-1, or empty) of one service's stream."""

    def __init__(self, language: str) -> None:
        self.value = language
        self._changed = asyncio.Event()

    def change(self, language: str) -> None:
        """Use another language; `wait_for_change` ends if it is another one."""
        if language != self.value:
            self.value = language
            self._changed.set()

    async def wait_for_change(self) -> NoReturn:
        """Wait until the language changes. Raises `LanguageChanged`."""
        await self._changed.wait()
        self._changed.clear()
        raise LanguageChanged
