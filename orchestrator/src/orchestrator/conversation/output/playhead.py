"""The estimated playback position of a client. Pure: the time is a parameter, in seconds on any monotonic clock."""

from __future__ import annotations

# A shorter gap is lost in the pauses of speech, and in the buffers of clients.
_AUDIBLE_GAP_MS = 20


class Playhead:
    """Models a client that plays sent audio immediately, in real time, and plays silence when it has none.

    Silence in mid-reply is an underrun. With `can_pause`, the client stops at once when paused; otherwise it plays on
    until its buffer is empty.
    """

    def __init__(self, can_pause: bool) -> None:
        self._can_pause = can_pause
        self._paused = False
        self._at_s = 0.0
        self._gap_ms = 0.0
        self.sent_ms = 0.0
        self.played_ms = 0.0
        self.underruns = 0
        self.underrun_ms = 0.0

    def add_sent(self, length_ms: float, now_s: float) -> None:
        """Record that `length_ms` more speech was sent."""
        self.advance(now_s)
        self.count_gap()
        self.sent_ms += length_ms

    def remove_sent(self, length_ms: float, now_s: float) -> None:
        """Record that the last `length_ms` of sent speech did not arrive."""
        self.advance(now_s)
        self.sent_ms -= length_ms
        self.played_ms = min(self.played_ms, self.sent_ms)
        self._gap_ms = 0.0

    def pause(self, now_s: float) -> None:
        """Pause: silence counts as no underrun from now on."""
        self.advance(now_s)
        self._paused = True

    def resume(self, now_s: float) -> None:
        """End the pause."""
        self.advance(now_s)
        self._paused = False

    def advance(self, now_s: float) -> None:
        """Move the position up to `now_s`, never beyond the sent speech."""
        elapsed_ms = (now_s - self._at_s) * 1000
        self._at_s = now_s
        if not self.sent_ms or (self._paused and self._can_pause):
            return
        step_ms = min(elapsed_ms, self.sent_ms - self.played_ms)
        self.played_ms += step_ms
        if not self._paused:
            self._gap_ms += elapsed_ms - step_ms

    def underrun_totals(self, now_s: float | None) -> tuple[int, float]:
        """The number of underruns and their length in ms, up to `now_s`; None once all speech has been sent."""
        if now_s is not None:
            self.advance(now_s)
            self.count_gap()
        return self.underruns, self.underrun_ms

    def count_gap(self) -> None:
        """Count the gap that ends now as an underrun, if it was audible."""
        if self._gap_ms >= _AUDIBLE_GAP_MS:
            self.underruns += 1
            self.underrun_ms += self._gap_ms
        self._gap_ms = 0.0
