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
    """Pushes silence (PCM16 mono 16 kHz) to `push_audio` while disconnected, or when audio stalls in mid-speech.

    `position_ms` returns the microphone's position, `user_speaking` whether the user is speaking at it.
    """

    def __init__(
        self,
        push_audio: Callable[[bytes], None],
        position_ms: Callable[[], int],
        user_speaking: Callable[[], bool],
    ) -> None:
        self._push_audio = push_audio
        self._position_ms = position_ms
        self._user_speaking = user_speaking
        # Set while the client is disconnected.
        self.disconnected = asyncio.Event()

    async def run(self) -> None:
        """Fill gaps until cancelled."""
        while True:
            before_ms = self._position_ms()
            with suppress(TimeoutError):
                async with asyncio.timeout(_STALL_S):
                    await self.disconnected.wait()
            if self.disconnected.is_set():
                self._push_audio(_STEP_SILENCE)
                await asyncio.sleep(_STEP_S)
            elif self._user_speaking() and self._position_ms() == before_ms:
                self._push_audio(_STALL_SILENCE)
