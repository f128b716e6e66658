"""Where the ear is, as far as a clock can tell. Pure: the time comes in as a parameter."""

from __future__ import annotations

# A shorter gap drowns in the pauses of speech, and in what clients keep in hand.
_AUDIBLE_GAP_MS = 20


class Playhead:
    """A listener who plays what is sent at once and in real time, and waits in silence where there is nothing.

    A silence in mid-reply is an underrun. `holds` says whether this listener stops where it is when told to pause;
    one that does not plays on what it has.
    """

    def __init__(self, holds: bool) -> None:
        self._holds = holds
        self._paused = False
        self._at_s = 0.0
        self._gap_ms = 0.0
        self.sent_ms = 0.0
        self.played_ms = 0.0
        self.underruns = 0
        self.underrun_ms = 0.0

    def add_sent(self, length_ms: float, now_s: float) -> None:
        """So much more speech has left."""
        self.advance(now_s)
        self.count_gap()
        self.sent_ms += length_ms

    def remove_sent(self, length_ms: float, now_s: float) -> None:
        """So much of what was sent did not arrive."""
        self.advance(now_s)
        self.sent_ms -= length_ms
        self.played_ms = min(self.played_ms, self.sent_ms)
        self._gap_ms = 0.0

    def pause(self, now_s: float) -> None:
        """Nothing more is sent for now, and that is meant."""
        self.advance(now_s)
        self._paused = True

    def resume(self, now_s: float) -> None:
        """Go on."""
        self.advance(now_s)
        self._paused = False

    def advance(self, now_s: float) -> None:
        """Play up to `now_s`; never beyond what was sent."""
        elapsed_ms = (now_s - self._at_s) * 1000
        self._at_s = now_s
        if not self.sent_ms or (self._paused and self._holds):
            return
        step_ms = min(elapsed_ms, self.sent_ms - self.played_ms)
        self.played_ms += step_ms
        if not self._paused:
            self._gap_ms += elapsed_ms - step_ms

    def underrun_totals(self, now_s: float | None) -> tuple[int, float]:
        """How often there was nothing to play, and for how long in all; up to `now_s` unless speech has ended."""
        if now_s is not None:
            self.advance(now_s)
            self.count_gap()
        return self.underruns, self.underrun_ms

    def count_gap(self) -> None:
        """Speech was due when there was none: count the silence, if it was long enough to be heard."""
        if self._gap_ms >= _AUDIBLE_GAP_MS:
            self.underruns += 1
            self.underrun_ms += self._gap_ms
        self._gap_ms = 0.0
