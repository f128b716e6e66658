"""Silence in place of a microphone that has stopped, so that whatever was being said comes to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from service_kit.audio import MICROPHONE

# A microphone that stops in mid-speech (a muted tab, a lost track) is heard as silence after this long.
_STALL_S = 0.6
_STALL_SILENCE = bytes(MICROPHONE.bytes_for(1_000))
# Without a connection nothing can come: silence is heard at once, as it passes.
_STEP_S = 0.1
_STEP_SILENCE = bytes(MICROPHONE.bytes_for(100))


class SilenceFiller:
    """`hear` takes the silence; `position_ms` tells how far the microphone came, and `voiced` whether it speaks."""

    def __init__(
        self, hear: Callable[[bytes], None], position_ms: Callable[[], int], voiced: Callable[[], bool]
    ) -> None:
        self._hear = hear
        self._position_ms = position_ms
        self._voiced = voiced
        # Set while there is no connection.
        self.alone = asyncio.Event()

    async def run(self) -> None:
        """Fill in until cancelled."""
        while True:
            before_ms = self._position_ms()
            with suppress(TimeoutError):
                async with asyncio.timeout(_STALL_S):
                    await self.alone.wait()
            if self.alone.is_set():
                self._hear(_STEP_SILENCE)
                await asyncio.sleep(_STEP_S)
            elif self._voiced() and self._position_ms() == before_ms:
                self._hear(_STALL_SILENCE)
