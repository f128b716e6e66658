"""The admission policy: places for those who speak, and a fair queue for the others. Pure: no clock, no I/O.

A caller asks for a place when a turn of its begins. It holds the place while turns follow one another: a holder without
a turn for `keep_s` gives way, the longest idle first, but only when another caller wants the place. So an idle page
holds nothing, and no caller loses a place between two questions. The queue is first come, first served, and bounded.

    request     free place, or an idle one   -> Admitted
                none, and the caller waits   -> Waiting, at the end of the queue
                none, or the queue is full   -> Refused
    end_turn, leave, set_capacity, tick      -> the first of the queue is Admitted, those behind move up

Methods take the time in seconds, on any clock that does not go backwards, and return the changes for callers that
wait. A caller that is admitted from the queue has `keep_s` to begin a turn.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from orchestrator.conversation.model.ports import Admitted, PlaceStatus, Refused, Waiting

# Weight of the newest call in the mean time for which places are held.
_MEAN_WEIGHT = 0.2


@dataclass(frozen=True, slots=True)
class AdmissionRules:
    """Times in seconds."""

    # How long a holder without a turn keeps its place while others wait: a pause in a conversation.
    keep_s: float = 12.0
    # Callers that wait; more are refused.
    max_waiting: int = 100
    # How long a place is held, until that has been observed.
    first_hold_s: float = 45.0


@dataclass(frozen=True, slots=True)
class StatusChange:
    """The new status of a caller that waited."""

    caller: str
    status: PlaceStatus


@dataclass(slots=True)
class _Holder:
    admitted_s: float
    # Since when no turn is in progress; None during a turn.
    idle_since_s: float | None
    had_turn: bool = False


class AdmissionPolicy:
    """The state machine. Callers are named by ids of the caller's choice."""

    def __init__(self, capacity: int, rules: AdmissionRules | None = None) -> None:
        self._capacity = capacity
        self._rules = rules or AdmissionRules()
        self._is_open = True
        self._holders: dict[str, _Holder] = {}
        # In the order of arrival.
        self._queue: list[str] = []
        self._mean_hold_s = self._rules.first_hold_s

    @property
    def capacity(self) -> int:
        """Places in all."""
        return self._capacity

    def holds(self, caller: str) -> bool:
        """Whether the caller has a place."""
        return caller in self._holders

    @property
    def held(self) -> int:
        """Places held, which may be more than there are after a change of the capacity."""
        return len(self._holders)

    @property
    def waiting(self) -> int:
        """Callers in the queue."""
        return len(self._queue)

    @property
    def due_s(self) -> float:
        """When `tick` will change something; infinity while only another event can."""
        if not self._queue or not self._is_open:
            return math.inf
        idle = [each.idle_since_s for each in self._holders.values() if each.idle_since_s is not None]
        return min(idle, default=math.inf) + self._rules.keep_s

    def request(self, caller: str, now_s: float, *, waits: bool, resumes: bool = False) -> PlaceStatus:
        """A turn of `caller` begins. With `resumes`, it was admitted before, and is whatever the capacity."""
        if holder := self._holders.get(caller):
            if holder.idle_since_s is not None:
                holder.idle_since_s = now_s
            return Admitted()
        if caller in self._queue:
            return self._waiting(self._queue.index(caller) + 1, now_s)
        if resumes or (not self._queue and self._is_open and self._has_room(now_s)):
            self._holders[caller] = _Holder(now_s, now_s)
            return Admitted()
        if waits and len(self._queue) < self._rules.max_waiting:
            self._queue.append(caller)
            return self._waiting(len(self._queue), now_s)
        return self.refusal(now_s)

    def refusal(self, now_s: float) -> Refused:
        """What a caller that does not wait is told now."""
        position = len(self._queue) + 1
        return Refused(position, self._expected_wait_s(position, now_s))

    def has_room_for_more(self, now_s: float) -> bool:
        """Whether another caller would be admitted now. Changes nothing."""
        expired = [each for each in self._holders.values() if self._is_expired(each, now_s)]
        return self._is_open and not self._queue and len(self._holders) - len(expired) < self._capacity

    def begin_turn(self, caller: str) -> None:
        """A turn of the holder is in progress."""
        if holder := self._holders.get(caller):
            holder.idle_since_s, holder.had_turn = None, True

    def end_turn(self, caller: str, now_s: float) -> list[StatusChange]:
        """No turn of the holder is in progress any more."""
        if (holder := self._holders.get(caller)) and holder.idle_since_s is None:
            holder.idle_since_s = now_s
        return self._advance(now_s)

    def leave_queue(self, caller: str, now_s: float) -> list[StatusChange]:
        """The caller waits no longer."""
        before = self._positions()
        if caller in self._queue:
            self._queue.remove(caller)
        return self._advance(now_s, before)

    def leave(self, caller: str, now_s: float) -> list[StatusChange]:
        """The caller is gone."""
        before = self._positions()
        if caller in self._queue:
            self._queue.remove(caller)
        if caller in self._holders:
            self._release(caller, now_s)
        return self._advance(now_s, before)

    def set_capacity(self, capacity: int, now_s: float) -> list[StatusChange]:
        """Change the number of places. Who holds one keeps it, though there be too few."""
        self._capacity = capacity
        return self._advance(now_s)

    def set_open(self, is_open: bool, now_s: float) -> list[StatusChange]:
        """Stop admitting callers without a place, or admit them again."""
        self._is_open = is_open
        return self._advance(now_s)

    def tick(self, now_s: float) -> list[StatusChange]:
        """The time is `now_s`."""
        return self._advance(now_s)

    # Places ---------------------------------------------------------------------------------------------------------

    def _advance(self, now_s: float, before: dict[str, int] | None = None) -> list[StatusChange]:
        """Admit the first of the queue as far as there is room; return what that changes for those who wait."""
        before = self._positions() if before is None else before
        changes: list[StatusChange] = []
        while self._queue and self._is_open and self._has_room(now_s):
            caller = self._queue.pop(0)
            self._holders[caller] = _Holder(now_s, now_s)
            changes.append(StatusChange(caller, Admitted()))
        moved = [(caller, position) for caller, position in self._positions().items() if before[caller] != position]
        return changes + [StatusChange(caller, self._waiting(position, now_s)) for caller, position in moved]

    def _has_room(self, now_s: float) -> bool:
        """Whether a place is free; takes one from who holds it idle for too long, where none is."""
        while len(self._holders) >= self._capacity:
            expired = [
                (each.idle_since_s or 0.0, caller)
                for caller, each in self._holders.items()
                if self._is_expired(each, now_s)
            ]
            if not expired:
                return False
            self._release(min(expired)[1], now_s)
        return True

    def _is_expired(self, holder: _Holder, now_s: float) -> bool:
        return holder.idle_since_s is not None and now_s >= holder.idle_since_s + self._rules.keep_s

    def _release(self, caller: str, now_s: float) -> None:
        holder = self._holders.pop(caller)
        if holder.had_turn:
            held_s = now_s - holder.admitted_s
            self._mean_hold_s += _MEAN_WEIGHT * (held_s - self._mean_hold_s)

    # The queue ------------------------------------------------------------------------------------------------------

    def _positions(self) -> dict[str, int]:
        return {caller: index for index, caller in enumerate(self._queue, 1)}

    def _waiting(self, position: int, now_s: float) -> Waiting:
        return Waiting(position, self._expected_wait_s(position, now_s))

    def _expected_wait_s(self, position: int, now_s: float) -> float:
        """When a place is free for this position, if calls last as long as those before."""
        ends_s = sorted(self._remaining_s(each, now_s) for each in self._holders.values())
        places = min(len(ends_s), self._capacity)
        if not places:
            return self._mean_hold_s
        # Places beyond the capacity go to no caller.
        ends_s = ends_s[len(ends_s) - places :]
        rounds, index = divmod(position - 1, places)
        return ends_s[index] + rounds * self._mean_hold_s

    def _remaining_s(self, holder: _Holder, now_s: float) -> float:
        if holder.idle_since_s is not None:
            return max(0.0, holder.idle_since_s + self._rules.keep_s - now_s)
        return max(self._rules.keep_s, self._mean_hold_s - (now_s - holder.admitted_s))
