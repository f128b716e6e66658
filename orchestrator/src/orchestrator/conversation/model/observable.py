"""A value with change notification. Readers see only the newest value; a slow reader misses outdated ones."""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Observable(Generic[Value]):
    """One writer, many readers."""

    def __init__(self, value: Value) -> None:
        self._value = value
        self._changed = asyncio.Event()

    @property
    def value(self) -> Value:
        """The current value."""
        return self._value

    def set(self, value: Value) -> None:
        """Replace the value; readers are notified only if it differs."""
        if value != self._value:
            self._value = value
            changed, self._changed = self._changed, asyncio.Event()
            changed.set()

    async def wait_for_change(self, known: Value) -> Value:
        """Wait until the value differs from `known`; return it. Cancelling is safe."""
        while self._value == known:
            await self._changed.wait()
        return self._value
