"""How a session deals with its place: what a refused or waiting caller is told, and places without any limit."""

from __future__ import annotations

import math
from collections.abc import Callable

from service_kit.errors import AtCapacity

from orchestrator.conversation.messages.server import Admission, AdmissionState
from orchestrator.conversation.model.ports import Admitted, CallPlace, PlaceStatus, Refused, Waiting


def at_capacity(refused: Refused) -> AtCapacity:
    """The error of a refused caller."""
    wait_s = _seconds(refused.expected_wait_s)
    message = f"all places are taken; you would be number {refused.position} in the queue: try again in {wait_s} s"
    return AtCapacity("admission.at_capacity", message, retry_after_s=wait_s)


def admission_message(status: Admitted | Waiting) -> Admission:
    """The message to a caller that waits, or has waited."""
    match status:
        case Admitted():
            return Admission(AdmissionState.ADMISSION_STATE_ADMITTED, 0, 0)
        case Waiting():
            wait_s = _seconds(status.expected_wait_s)
            return Admission(AdmissionState.ADMISSION_STATE_WAITING, status.position, wait_s)


def _seconds(seconds: float) -> int:
    return max(1, math.ceil(seconds))


class UnlimitedPlaces:
    """A place for everybody."""

    def open(self, on_change: Callable[[PlaceStatus], None]) -> CallPlace:
        """Add a session."""
        del on_change
        return _UnlimitedPlace()

    def require_room(self) -> None:
        """There is always room."""


class _UnlimitedPlace:
    def request(self, *, waits: bool, resumes: bool = False) -> PlaceStatus:
        del waits, resumes
        return Admitted()

    def set_in_turn(self, in_turn: bool) -> None:
        del in_turn

    def leave_queue(self) -> None: ...

    def leave(self) -> None: ...
