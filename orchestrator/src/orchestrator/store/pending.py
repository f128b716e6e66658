"""What waits to be written: the newest state of each turn, and events in order, within a bound. No I/O, no clock.

The overflow rule: beyond the bound events and waterfalls are dropped, those of the oldest conversation first, and when
there are none, the oldest turns. An entry that replaces another takes its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from orchestrator.conversation.model.store import (
    Claim,
    ConversationEntry,
    Entry,
    EventEntry,
    SessionEntry,
    TurnEntry,
    TurnRemoval,
    WaterfallEntry,
    conversation_key,
)

# Bookkeeping of an entry, in characters, beside its text.
_ENTRY_CHARS = 200


def _chars_of(entry: Entry | None) -> int:
    """Size of an entry, in characters."""
    match entry:
        case None:
            return 0
        case TurnEntry():
            upcoming = sum(len(heard) for _, heard in entry.upcoming)
            return _ENTRY_CHARS + sum(len(message.text) for message in entry.messages) + upcoming
        case EventEntry():
            return _ENTRY_CHARS + sum(len(str(value)) for value in entry.fields.values())
        case _:
            return _ENTRY_CHARS


@dataclass(slots=True)
class PendingConversation:
    """The entries of one conversation under one claim, and their size in characters."""

    key: str
    claim: Claim
    entry: ConversationEntry | None = None
    is_new: bool = False
    sessions: list[SessionEntry] = field(default_factory=list[SessionEntry])
    turns: dict[int, TurnEntry | TurnRemoval] = field(default_factory=dict[int, TurnEntry | TurnRemoval])
    waterfalls: dict[int, WaterfallEntry] = field(default_factory=dict[int, WaterfallEntry])
    events: list[EventEntry] = field(default_factory=list[EventEntry])
    # By turn: called when the turn's entry is committed.
    on_saved: dict[int, Callable[[], None]] = field(default_factory=dict[int, Callable[[], None]])
    chars: int = 0

    def add(self, entry: Entry, on_saved: Callable[[], None] | None = None) -> None:
        """Add an entry; one of the same turn is replaced, but its `on_saved` only by another one."""
        replaced: Entry | None = None
        match entry:
            case ConversationEntry():
                replaced, self.entry = self.entry, entry
                self.is_new = self.is_new or entry.is_new
            case SessionEntry():
                self.sessions.append(entry)
            case TurnEntry() | TurnRemoval():
                replaced = self.turns.get(entry.turn_id)
                self.turns[entry.turn_id] = entry
                if isinstance(entry, TurnRemoval):
                    self.on_saved.pop(entry.turn_id, None)
                if on_saved is not None:
                    self.on_saved[entry.turn_id] = on_saved
            case WaterfallEntry():
                replaced = self.waterfalls.get(entry.turn_id)
                self.waterfalls[entry.turn_id] = entry
            case EventEntry():
                self.events.append(entry)
        self.chars += _chars_of(entry) - _chars_of(replaced)

    def add_newer(self, newer: PendingConversation) -> None:
        """Add what arrived while this could not be written; under a newer claim, it replaces all of this."""
        if newer.claim.epoch != self.claim.epoch:
            self.claim, self.entry, self.is_new, self.chars = newer.claim, None, False, 0
            for entries in (self.sessions, self.events, self.turns, self.waterfalls, self.on_saved):
                entries.clear()
        if newer.entry is not None:
            self.add(newer.entry)
        for entry in (*newer.sessions, *newer.waterfalls.values(), *newer.events):
            self.add(entry)
        for turn_id, entry in newer.turns.items():
            self.add(entry, newer.on_saved.get(turn_id))

    @property
    def observations(self) -> int:
        """Number of waterfalls and events."""
        return len(self.waterfalls) + len(self.events)

    def drop_observations(self) -> None:
        """Drop waterfalls and events."""
        self.chars -= sum(_chars_of(entry) for entry in (*self.waterfalls.values(), *self.events))
        self.waterfalls.clear()
        self.events.clear()

    def drop_oldest_turn(self) -> None:
        """Drop the oldest of its turns."""
        turn_id = next(iter(self.turns))
        self.chars -= _chars_of(self.turns.pop(turn_id))
        self.on_saved.pop(turn_id, None)


class PendingWrites:
    """The pending entries of all conversations, `max_chars` at most, oldest conversation first."""

    def __init__(self, max_chars: int) -> None:
        self._max_chars = max_chars
        self._conversations: dict[str, PendingConversation] = {}
        self._chars = 0

    def __len__(self) -> int:
        return len(self._conversations)

    @property
    def chars(self) -> int:
        """Size of all, in characters."""
        return self._chars

    def add(self, claim: Claim, entry: Entry, on_saved: Callable[[], None] | None = None) -> int:
        """Add an entry; returns how many entries were dropped for it. One under an older claim is ignored."""
        key = conversation_key(claim.ticket)
        pending = self._conversations.get(key)
        if pending is None or pending.claim.epoch < claim.epoch:
            self._remove(key)
            pending = self._conversations[key] = PendingConversation(key, claim)
            before = 0
        elif pending.claim.epoch > claim.epoch:
            return 0
        else:
            before = pending.chars
        pending.add(entry, on_saved)
        self._chars += pending.chars - before
        return self._shrink()

    def take(self, at_most: int) -> list[PendingConversation]:
        """Remove and return the oldest conversations."""
        keys = list(self._conversations)[:at_most]
        return [taken for key in keys if (taken := self._remove(key))]

    def take_one(self, key: str) -> list[PendingConversation]:
        """Remove and return one conversation, if anything of it is pending."""
        taken = self._remove(key)
        return [taken] if taken else []

    def put_back(self, batch: Iterable[PendingConversation]) -> int:
        """Take back what could not be written; returns how many entries were dropped for it."""
        arrived, self._conversations = self._conversations, {older.key: older for older in batch}
        for key, newer in arrived.items():
            if older := self._conversations.get(key):
                older.add_newer(newer)
            else:
                self._conversations[key] = newer
        self._chars = sum(pending.chars for pending in self._conversations.values())
        return self._shrink()

    def _remove(self, key: str) -> PendingConversation | None:
        pending = self._conversations.pop(key, None)
        if pending is not None:
            self._chars -= pending.chars
        return pending

    def _shrink(self) -> int:
        dropped = 0
        for pending in self._conversations.values():
            if self._chars <= self._max_chars:
                return dropped
            dropped += pending.observations
            before = pending.chars
            pending.drop_observations()
            self._chars -= before - pending.chars
        while self._chars > self._max_chars and self._conversations:
            oldest = next(iter(self._conversations.values()))
            if not oldest.turns:
                self._remove(oldest.key)
                continue
            dropped += 1
            before = oldest.chars
            oldest.drop_oldest_turn()
            self._chars -= before - oldest.chars
        return dropped
