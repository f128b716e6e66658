"""How much of something one client may do: a rate, and a reserve for bursts."""

from __future__ import annotations


class TokenBucket:
    """`rate` a second on average, `burst` at once; any clock in seconds will do, as long as it is always the same."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst_s = burst / rate
        # When all that was spent has been earned back; lies in the past by the whole burst at most.
        self._even_s = float("-inf")

    def spend(self, amount: float, now_s: float) -> float:
        """Take `amount`; return how many seconds to wait before anything more is taken."""
        self._even_s = max(self._even_s, now_s - self._burst_s) + amount / self._rate
        return max(0.0, self._even_s - now_s)
