"""The latest of something that changes: no past is kept, so that a slow reader misses only what is no longer so."""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Observable(Generic[Value]):
    """Written by one, read and waited for by many."""

    def __init__(self, value: Value) -> None:
        self._value = value
        self._changed = asyncio.Event()

    @property
    def value(self) -> Value:
        """What it is now."""
        return self._value

    def set(self, value: Value) -> None:
        """It is `value` from now on."""
        if value != self._value:
            self._value = value
            changed, self._changed = self._changed, asyncio.Event()
            changed.set()

    async def wait_for_change(self, known: Value) -> Value:
        """What it is, as soon as that is something else than `known`."""
        while self._value == known:
            await self._changed.wait()
        return self._value
