"""The journal of one conversation: hands what happens in it to the store, without waiting."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, replace

from orchestrator.conversation.messages.server import (
    BargeInSettled,
    Error,
    LatencyWaterfall,
    ServerMessage,
    ServiceNotice,
    SessionUpdated,
    TurnFailed,
)
from orchestrator.conversation.model.ports import Message
from orchestrator.conversation.model.store import (
    Claim,
    ConversationEntry,
    ConversationStore,
    EventEntry,
    NoStore,
    SessionEntry,
    TurnEntry,
    TurnRemoval,
    WaterfallEntry,
)

# The messages that are stored as events, under their names.
_EVENTS: dict[type[ServerMessage], str] = {
    BargeInSettled: "barge_in_settled",
    Error: "error",
    ServiceNotice: "service_notice",
    SessionUpdated: "session_updated",
    TurnFailed: "turn_failed",
}

# The epoch of a conversation's first owner.
FIRST_EPOCH = 1

OnTurnSaved = Callable[[int, int | None], None]


class Journal:
    """Saves one conversation under one claim. Without a store, everything is forgotten."""

    def __init__(self, store: ConversationStore | None = None, claim: Claim | None = None) -> None:
        self._store = store or NoStore()
        self.claim = claim or Claim("", 0)
        self.session_ids: set[str] = set()
        self._session_id = ""
        self._on_turn_saved: OnTurnSaved | None = None
        self._entry: ConversationEntry | None = None
        self._closed = False
        # Bounded: the session handles one turn at a time, and the next one replaces it.
        self._turn: TurnEntry | None = None

    def open_session(self, session_id: str, on_turn_saved: OnTurnSaved) -> None:
        """Save as `session_id` from now on; `on_turn_saved` gets the id and heard length of each turn once stored."""
        self._session_id = session_id
        self._on_turn_saved = on_turn_saved
        self.session_ids.add(session_id)
        now_s = time.time()
        self._record(SessionEntry(session_id, now_s))
        self._record(EventEntry(session_id, "session_started", now_s))

    def close_session(self, code: str, *, is_over: bool) -> None:
        """The session ended, and with it its turn if that `is_over`; what is stored from now on is not reported."""
        if is_over and self._turn is not None and not self._turn.is_over:
            self._record(replace(self._turn, is_over=True))
        self._turn = None
        self._record(EventEntry(self._session_id, "session_ended", time.time(), fields={"code": code}))
        self._on_turn_saved = None

    def close(self) -> None:
        """Save nothing more: the conversation was deleted, or another process owns it."""
        self._closed = True

    def save_conversation(self, entry: ConversationEntry) -> None:
        """Save the preferences, if they changed."""
        if entry != self._entry:
            is_new = self._entry is None and self.claim.epoch == FIRST_EPOCH
            self._entry = entry
            self._record(replace(entry, is_new=is_new))

    def save_turn(
        self,
        turn_id: int,
        messages: tuple[Message, ...],
        *,
        heard_ms: int | None = None,
        is_over: bool = False,
        upcoming: tuple[tuple[int, str], ...] = (),
    ) -> None:
        """Save a turn as it is now: its messages so far, and `upcoming` as in `TurnEntry`."""
        before = self._turn
        is_covered = before is not None and before.turn_id == turn_id and before.upcoming[-1:] == upcoming[-1:]
        turn = TurnEntry(turn_id, self._session_id, messages, heard_ms, is_over, upcoming, is_covered)
        if turn == before:
            return
        self._turn = turn
        on_turn_saved = self._on_turn_saved
        is_playing = heard_ms is not None and not is_over
        if on_turn_saved is None or not messages or is_playing:
            self._record(turn)
            return
        told_ms = (heard_ms or 0) if is_over else None
        self._record(turn, lambda: on_turn_saved(turn_id, told_ms))

    def remove_turn(self, turn_id: int) -> None:
        """Remove a turn."""
        self._turn = None
        self._record(TurnRemoval(turn_id))

    def record_replacement(self, turn_id: int, by_turn_id: int) -> None:
        """Save as an event that the user corrected a turn, which was removed, with another one."""
        fields = {"by_turn_id": by_turn_id}
        self._record(EventEntry(self._session_id, "turn_replaced", time.time(), turn_id, fields))

    def on_message(self, message: ServerMessage) -> None:
        """Save what a message to the client says of latency and faults; other messages are no events."""
        if isinstance(message, LatencyWaterfall):
            self._record(WaterfallEntry(message.turn_id, asdict(message)))
        elif kind := _EVENTS.get(type(message)):
            turn_id = getattr(message, "turn_id", None)
            self._record(EventEntry(self._session_id, kind, time.time(), turn_id, asdict(message)))

    def with_epoch(self, epoch: int) -> None:
        """Save under the claim of `epoch` from now on."""
        self.claim = replace(self.claim, epoch=epoch)

    def _record(
        self,
        entry: ConversationEntry | SessionEntry | TurnEntry | TurnRemoval | WaterfallEntry | EventEntry,
        on_saved: Callable[[], None] | None = None,
    ) -> None:
        if not self._closed:
            self._store.record(self.claim, entry, on_saved)
