"""A token bucket: a rate limit with a burst."""

from __future__ import annotations


class TokenBucket:
    """Allows `rate` a second on average and `burst` at once; the caller passes times of one clock, in seconds."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst_s = burst / rate
        # When the amount spent so far is earned back; at most one burst in the past.
        self._even_s = float("-inf")

    def spend(self, amount: float, now_s: float) -> float:
        """Spend `amount` and return the seconds to wait before spending more."""
        self._even_s = max(self._even_s, now_s - self._burst_s) + amount / self._rate
        return max(0.0, self._even_s - now_s)
