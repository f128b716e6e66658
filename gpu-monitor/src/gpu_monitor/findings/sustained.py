"""Conditions that must last before they count, so that nothing flutters."""

from __future__ import annotations


class Sustained:
    """Begins when a condition has held for `begin_s`, and ends when it has been gone for `end_s`."""

    def __init__(self, begin_s: float, end_s: float) -> None:
        self.active = False
        self._begin_s = begin_s
        self._end_s = end_s
        # Since when the condition differs from `active`.
        self._differs_since_s: float | None = None

    def on_reading(self, now_s: float, holds: bool) -> bool:
        """Whether it is on, now that the condition `holds` or not."""
        if holds is self.active:
            self._differs_since_s = None
            return self.active
        if self._differs_since_s is None:
            self._differs_since_s = now_s
        if now_s - self._differs_since_s >= (self._begin_s if holds else self._end_s):
            self.active, self._differs_since_s = holds, None
        return self.active
