"""The audio clock: milliseconds since the session's first microphone sample."""

from __future__ import annotations

from collections.abc import Callable


class AudioClock:
    """Knows how far the microphone has come, and what moment of the loop's clock that was.

    While a microphone sends, its samples tell the time; while it does not, the loop's clock carries on from the
    last one, so that a wait which began in speech ends although no audio follows.
    """

    def __init__(self, loop_time: Callable[[], float]) -> None:
        self._loop_time = loop_time
        self._position_ms = 0
        self._arrived_s = loop_time()

    def advance(self, position_ms: int) -> None:
        """All audio up to `position_ms` has arrived just now."""
        self._position_ms = position_ms
        self._arrived_s = self._loop_time()

    @property
    def now_ms(self) -> int:
        """Now, on the audio clock."""
        return self._position_ms + round((self._loop_time() - self._arrived_s) * 1000)

    def loop_s(self, at_ms: int) -> float:
        """When `at_ms` was or will be, on the loop's clock, if audio flows in real time."""
        return self._arrived_s + (at_ms - self._position_ms) / 1000
