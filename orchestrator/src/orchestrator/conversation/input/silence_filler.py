"""Silence in place of a microphone that stopped sending, so that unfinished speech comes to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from service_kit.audio import MICROPHONE

# A microphone that stops sending in mid-speech (a muted tab, a lost track) counts as silent after this long.
_STALL_S = 0.6
_STALL_SILENCE = bytes(MICROPHONE.bytes_for(1_000))
# Without a connection no audio can arrive: silence is pushed immediately, in real time.
_STEP_S = 0.1
_STEP_SILENCE = bytes(MICROPHONE.bytes_for(100))


class SilenceFiller:
    """Pushes silence while the client is disconnected, or when its audio stalls in mid-speech."""

    def __init__(self) -> None:
        # Set while the client is disconnected.
        self.disconnected = asyncio.Event()

    async def run(
        self, push_audio: Callable[[bytes], None], position_ms: Callable[[], int], user_speaking: Callable[[], bool]
    ) -> None:
        """Push silence (PCM16 mono 16 kHz) to `push_audio` in gaps, until cancelled.

        `position_ms` returns the microphone's position, `user_speaking` whether the user is speaking at it.
        """
        while True:
            before_ms = position_ms()
            with suppress(TimeoutError):
                async with asyncio.timeout(_STALL_S):
                    await self.disconnected.wait()
            if self.disconnected.is_set():
                push_audio(_STEP_SILENCE)
                await asyncio.sleep(_STEP_S)
            elif user_speaking() and position_ms() == before_ms:
                push_audio(_STALL_SILENCE)
