"""A token bucket: a rate limit with a burst, as the generic cell rate algorithm (ITU-T I.371, annex A).

Instead of counting tokens it keeps one time, the theoretical arrival time: when all that was spent is earned back.
"""

from __future__ import annotations


class TokenBucket:
    """Allows `rate` a second on average and `burst` at once; the caller passes times of one clock, in seconds."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst_s = burst / rate
        # The theoretical arrival time; at most one burst in the past.
        self._earned_back_s = float("-inf")

    def spend(self, amount: float, now_s: float) -> float:
        """Spend `amount` and return the seconds to wait before spending more."""
        self._earned_back_s = max(self._earned_back_s, now_s - self._burst_s) + amount / self._rate
        return max(0.0, self._earned_back_s - now_s)
