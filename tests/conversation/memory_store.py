"""A store in memory, which commits when the test says so, and outlives the stages of a test."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping

from orchestrator.conversation.model.store import (
    Claim,
    ConversationEntry,
    Entry,
    EventEntry,
    Selection,
    SessionEntry,
    StoredConversation,
    StoreUnavailable,
    TurnEntry,
    TurnRemoval,
    WaterfallEntry,
    conversation_key,
)


class MemoryStore:
    """The port `ConversationStore` without a database. With `holds`, nothing is committed."""

    def __init__(self) -> None:
        self.entries: dict[str, ConversationEntry] = {}
        self.epochs: dict[str, int] = {}
        self.turns: dict[str, dict[int, TurnEntry]] = {}
        self.sessions: list[SessionEntry] = []
        self.waterfalls: list[WaterfallEntry] = []
        self.events: list[EventEntry] = []
        self.used_unix_s: float | None = None
        self.holds = False
        self.fails = False
        self._held: list[tuple[Claim, Entry, Callable[[], None] | None]] = []
        self._on_lost: Callable[[str], None] = lambda ticket: None

    @property
    def retention_days(self) -> int | None:
        return 30

    def set_on_lost(self, on_lost: Callable[[str], None]) -> None:
        self._on_lost = on_lost

    def record(self, claim: Claim, entry: Entry, on_saved: Callable[[], None] | None = None) -> None:
        if self.holds:
            self._held.append((claim, entry, on_saved))
            return
        if isinstance(entry, ConversationEntry) and entry.is_new:
            self.epochs.setdefault(claim.ticket, claim.epoch)
        if self.epochs.get(claim.ticket) != claim.epoch:
            asyncio.get_running_loop().call_soon(self._on_lost, claim.ticket)
            return
        match entry:
            case ConversationEntry():
                self.entries[claim.ticket] = entry
            case SessionEntry():
                self.sessions.append(entry)
            case TurnEntry():
                self.turns.setdefault(claim.ticket, {})[entry.turn_id] = entry
            case TurnRemoval():
                self.turns.setdefault(claim.ticket, {}).pop(entry.turn_id, None)
            case WaterfallEntry():
                self.waterfalls.append(entry)
            case EventEntry():
                self.events.append(entry)
        if on_saved is not None:
            asyncio.get_running_loop().call_soon(on_saved)

    def commit(self) -> None:
        """Commit what was held, and everything from now on."""
        self.holds, held = False, self._held
        self._held = []
        for claim, entry, on_saved in held:
            self.record(claim, entry, on_saved)

    async def load(self, ticket: str) -> StoredConversation | None:
        await asyncio.sleep(0.001)
        if self.fails:
            raise StoreUnavailable("store.unavailable", "the store does not work at present")
        if ticket not in self.epochs:
            return None
        turns = self.turns.get(ticket, {})
        used_s = time.time() if self.used_unix_s is None else self.used_unix_s
        return StoredConversation(
            self.epochs[ticket], self.entries[ticket], tuple(turns[at] for at in sorted(turns)), used_s
        )

    async def claim(self, ticket: str) -> StoredConversation | None:
        if not self.fails and ticket in self.epochs:
            self.epochs[ticket] += 1
        return await self.load(ticket)

    async def export(self, selection: Selection) -> tuple[Mapping[str, object], ...]:
        return tuple({"id": conversation_key(ticket)} for ticket in self._selected(selection))

    async def delete(self, selection: Selection) -> frozenset[str]:
        if self.fails:
            raise StoreUnavailable("store.unavailable", "the store does not work at present")
        selected = self._selected(selection)
        for ticket in selected:
            del self.epochs[ticket], self.entries[ticket]
            self.turns.pop(ticket, None)
        return frozenset(conversation_key(ticket) for ticket in selected)

    def _selected(self, selection: Selection) -> list[str]:
        if selection.by == "ticket":
            return [ticket for ticket in self.epochs if ticket == selection.value]
        assert selection.by == "person", "sessions are selected in SQL only"
        return [ticket for ticket, entry in self.entries.items() if entry.person_id == selection.value]
