"""The resend buffer: the last sent audio of one reply, kept until a reconnecting client can ask for it again."""

from __future__ import annotations

from collections import deque

from service_kit.audio import SPEECH

# Audio is sent at most 2 s ahead of what the client reports as heard (`playout._AHEAD_REPORTING_MS`), plus one chunk of
# the TTS engine; the rest is margin.
_RETENTION_BYTES = SPEECH.bytes_for(6_000)


class AudioResendBuffer:
    """Sent frames of one reply, newest last; frames older than the retention are dropped."""

    def __init__(self) -> None:
        self._frames: deque[bytes] = deque()
        self._kept_bytes = 0

    def append(self, pcm: bytes) -> None:
        """Append a sent frame, PCM16 mono 24 kHz."""
        self._frames.append(pcm)
        self._kept_bytes += len(pcm)
        while self._kept_bytes - len(self._frames[0]) >= _RETENTION_BYTES:
            self._kept_bytes -= len(self._frames.popleft())

    def pop_unacknowledged(self, length_ms: float) -> list[bytes]:
        """Remove and return the last `length_ms`, oldest frame first; less where less is kept."""
        missing = min(SPEECH.bytes_for(length_ms), self._kept_bytes)
        self._kept_bytes -= missing
        popped: list[bytes] = []
        while missing > 0:
            pcm = self._frames.pop()
            if (acknowledged := len(pcm) - missing) > 0:
                self._frames.append(pcm[:acknowledged])
                pcm = pcm[acknowledged:]
            missing -= len(pcm)
            popped.append(pcm)
        return popped[::-1]
