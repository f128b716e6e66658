"""Rate limit of one client: delays reading its next message, which leaves other clients unaffected."""

from __future__ import annotations

import asyncio

from service_kit.audio import SAMPLE_BYTES
from service_kit.token_bucket import TokenBucket

from orchestrator.api.limits import ApiLimits
from orchestrator.conversation.messages.client import ClientMessage, EndTurn, MicrophoneAudio, SpeakAgain, TextInput

# Messages that start a reply cost more, since each reply loads every service.
_COSTS: dict[type, int] = {TextInput: 10, SpeakAgain: 10, EndTurn: 10}


class RateLimiter:
    """Token buckets of one client, whose microphone has `rate_hz`."""

    def __init__(self, limits: ApiLimits, rate_hz: int) -> None:
        self._commands = TokenBucket(limits.commands_per_s, limits.command_burst)
        self._audio_messages = TokenBucket(limits.audio_messages_per_s, limits.audio_message_burst)
        self._audio = TokenBucket(limits.audio_rate, limits.audio_burst_s)
        self._bytes_per_s = rate_hz * SAMPLE_BYTES
        self._now = asyncio.get_running_loop().time

    async def wait(self, message: ClientMessage | None) -> None:
        """Delay by the time that `message` arrived too early; None stands for an invalid message."""
        now_s = self._now()
        if isinstance(message, MicrophoneAudio):
            wait_s = max(
                self._audio_messages.spend(1, now_s),
                self._audio.spend(len(message.pcm) / self._bytes_per_s, now_s),
            )
        else:
            wait_s = self._commands.spend(_COSTS.get(type(message), 1), now_s)
        if wait_s > 0:
            await asyncio.sleep(wait_s)
