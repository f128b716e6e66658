"""The admission desk: runs the admission policy for the sessions of this process, on the loop's clock."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager

from orchestrator.admission.capacity import CallCapacity
from orchestrator.admission.policy import AdmissionPolicy, AdmissionRules, StatusChange
from orchestrator.conversation.model.ports import Admitted, PlaceStatus, Refused, Waiting
from orchestrator.conversation.session.call_place import at_capacity
from orchestrator.metrics import ADMISSIONS, CALLERS_WAITING, PLACES, PLACES_HELD, QUEUE_SECONDS

log = logging.getLogger(__name__)


class AdmissionDesk:
    """Gives places to sessions, and tells those that wait when something changes for them."""

    def __init__(self, capacity: CallCapacity, rules: AdmissionRules | None = None) -> None:
        self._capacity = capacity
        self._policy = AdmissionPolicy(capacity.places, rules)
        self._listeners: dict[str, Callable[[PlaceStatus], None]] = {}
        # Since when a caller waits.
        self._waiting_since_s: dict[str, float] = {}
        self._last_caller = 0
        self._timer: asyncio.TimerHandle | None = None
        PLACES.set(capacity.places)

    def describe(self) -> Mapping[str, object]:
        """The capacity and its use, for `/info`."""
        return {**self._capacity.describe(), "held": self._policy.held, "waiting": self._policy.waiting}

    def set_capacity(self, capacity: CallCapacity) -> None:
        """Use another capacity from now on; no caller loses a place by it."""
        if capacity == self._capacity:
            return
        self._capacity = capacity
        log.debug("call capacity changed", extra={"capacity": str(capacity)})
        PLACES.set(capacity.places)
        self._publish(self._policy.set_capacity(capacity.places, _now_s()))

    def set_open(self, is_open: bool) -> None:
        """Stop admitting callers without a place, or admit them again."""
        self._publish(self._policy.set_open(is_open, _now_s()))

    def open(self, on_change: Callable[[PlaceStatus], None]) -> DeskPlace:
        """Add a session, without a place."""
        self._last_caller += 1
        caller = str(self._last_caller)
        self._listeners[caller] = on_change
        return DeskPlace(self, caller)

    def require_room(self) -> None:
        """Raise `AtCapacity` when a caller that does not wait would be refused now."""
        now_s = _now_s()
        if not self._policy.has_room_for_more(now_s):
            ADMISSIONS.labels("refused").inc()
            raise at_capacity(self._policy.refusal(now_s))

    @contextmanager
    def hold(self) -> Generator[None]:
        """Hold a place for work without a session, such as a transcription. Raises `AtCapacity` when none is free."""
        place = self.open(lambda _: None)
        try:
            status = place.request(waits=False)
            if isinstance(status, Refused):
                raise at_capacity(status)
            place.set_in_turn(True)
            yield
        finally:
            place.leave()

    # Called by the places -------------------------------------------------------------------------------------------

    def request(self, caller: str, *, waits: bool, resumes: bool) -> PlaceStatus:
        """A turn of the caller begins."""
        is_new = not self._policy.holds(caller)
        status = self._policy.request(caller, _now_s(), waits=waits, resumes=resumes)
        match status:
            case Admitted() if is_new:
                ADMISSIONS.labels("admitted").inc()
            case Waiting() if caller not in self._waiting_since_s:
                ADMISSIONS.labels("waiting").inc()
                self._waiting_since_s[caller] = _now_s()
            case Refused():
                ADMISSIONS.labels("refused").inc()
            case _:
                pass
        self._publish(())
        return status

    def set_in_turn(self, caller: str, in_turn: bool) -> None:
        """A turn of the caller began or ended."""
        if in_turn:
            self._policy.begin_turn(caller)
            self._publish(())
        else:
            self._publish(self._policy.end_turn(caller, _now_s()))

    def leave_queue(self, caller: str) -> None:
        """The caller does not wait any more."""
        self._waiting_since_s.pop(caller, None)
        self._publish(self._policy.leave_queue(caller, _now_s()))

    def leave(self, caller: str) -> None:
        """The caller is gone."""
        self._listeners.pop(caller, None)
        self._waiting_since_s.pop(caller, None)
        self._publish(self._policy.leave(caller, _now_s()))

    def _publish(self, changes: list[StatusChange] | tuple[()]) -> None:
        """Tell those who wait what changed, and set the timer for what comes next."""
        for change in changes:
            if isinstance(change.status, Admitted):
                ADMISSIONS.labels("admitted").inc()
                QUEUE_SECONDS.observe(_now_s() - self._waiting_since_s.pop(change.caller, _now_s()))
            self._listeners[change.caller](change.status)
        PLACES_HELD.set(self._policy.held)
        CALLERS_WAITING.set(self._policy.waiting)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if (due_s := self._policy.due_s) != math.inf:
            self._timer = asyncio.get_running_loop().call_at(due_s, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._publish(self._policy.tick(_now_s()))


class DeskPlace:
    """The place of one session at the desk; implements `CallPlace`."""

    def __init__(self, desk: AdmissionDesk, caller: str) -> None:
        self._desk = desk
        self._caller = caller
        self._in_turn = False

    def request(self, *, waits: bool, resumes: bool = False) -> PlaceStatus:
        return self._desk.request(self._caller, waits=waits, resumes=resumes)

    def set_in_turn(self, in_turn: bool) -> None:
        if in_turn != self._in_turn:
            self._in_turn = in_turn
            self._desk.set_in_turn(self._caller, in_turn)

    def leave_queue(self) -> None:
        self._desk.leave_queue(self._caller)

    def leave(self) -> None:
        self._desk.leave(self._caller)


def _now_s() -> float:
    return asyncio.get_running_loop().time()
