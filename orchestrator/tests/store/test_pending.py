"""What waits to be written: the newest state of each turn, within a bound."""

from __future__ import annotations

from orchestrator.conversation.model.ports import Message
from orchestrator.conversation.model.store import Claim, EventEntry, TurnEntry, TurnRemoval, WaterfallEntry
from orchestrator.store.pending import PendingWrites

CLAIM = Claim("ticket", 1)
OTHER = Claim("other", 1)


def turn(turn_id: int, text: str = "hello", **fields: object) -> TurnEntry:
    return TurnEntry(turn_id, "session", (Message("user", text),), **fields)


def event(number: int) -> EventEntry:
    return EventEntry("session", "error", float(number))


def test_newest_state_of_a_turn_replaces_the_one_before():
    pending = PendingWrites(10_000)
    told: list[str] = []
    pending.add(CLAIM, turn(1), lambda: told.append("first"))
    pending.add(CLAIM, turn(1, "hello you"), lambda: told.append("second"))
    (conversation,) = pending.take(9)
    assert conversation.turns == {1: turn(1, "hello you")}
    for call in conversation.on_saved.values():
        call()
    assert told == ["second"]


def test_progress_of_a_reply_keeps_the_report_of_the_words_before_it():
    pending = PendingWrites(10_000)
    told: list[str] = []
    pending.add(CLAIM, turn(1), lambda: told.append("words"))
    pending.add(CLAIM, turn(1, heard_ms=300))
    (conversation,) = pending.take(9)
    assert conversation.turns == {1: turn(1, heard_ms=300)}
    for call in conversation.on_saved.values():
        call()
    assert told == ["words"]


def test_reopened_turn_is_removed_and_not_reported_as_saved():
    pending = PendingWrites(10_000)
    pending.add(CLAIM, turn(1), lambda: None)
    pending.add(CLAIM, TurnRemoval(1))
    (conversation,) = pending.take(9)
    assert (conversation.turns, conversation.on_saved) == ({1: TurnRemoval(1)}, {})


def test_returned_batch_does_not_overwrite_what_arrived_meanwhile():
    pending = PendingWrites(10_000)
    for number in (1, 2):
        pending.add(CLAIM, turn(number, "old"))
    pending.add(CLAIM, event(1))
    batch = pending.take(9)
    pending.add(CLAIM, turn(2, "new"))
    pending.add(CLAIM, event(2))
    pending.put_back(batch)
    (conversation,) = pending.take(9)
    assert conversation.turns == {1: turn(1, "old"), 2: turn(2, "new")}
    assert conversation.events == [event(1), event(2)]
    assert (len(pending), pending.chars) == (0, 0)


def test_entries_under_an_older_claim_are_ignored():
    pending = PendingWrites(10_000)
    pending.add(Claim("ticket", 2), turn(1, "new owner"))
    pending.add(CLAIM, turn(1, "old owner"))
    (conversation,) = pending.take(9)
    assert (conversation.claim.epoch, conversation.turns) == (2, {1: turn(1, "new owner")})


def test_batch_of_an_older_claim_gives_way_to_the_newer_one():
    pending = PendingWrites(10_000)
    pending.add(CLAIM, turn(1, "old owner"))
    batch = pending.take(9)
    pending.add(Claim("ticket", 2), turn(2, "new owner"))
    pending.put_back(batch)
    (conversation,) = pending.take(9)
    assert (conversation.claim.epoch, conversation.turns) == (2, {2: turn(2, "new owner")})


def test_events_and_waterfalls_are_dropped_before_turns():
    pending = PendingWrites(2_000)
    pending.add(CLAIM, turn(1, "x" * 300))
    pending.add(CLAIM, WaterfallEntry(1, {}))
    dropped = sum(pending.add(CLAIM, event(number)) for number in range(12))
    (conversation,) = pending.take(9)
    assert conversation.turns == {1: turn(1, "x" * 300)}
    assert dropped > 0
    assert dropped + conversation.observations == 13


def test_oldest_turns_are_dropped_at_the_bound():
    pending = PendingWrites(3_000)
    dropped = [pending.add(CLAIM if number < 5 else OTHER, turn(number, "x" * 400)) for number in range(10)]
    assert pending.chars <= 3_000
    kept = [number for conversation in pending.take(9) for number in conversation.turns]
    assert kept == [5, 6, 7, 8, 9][-len(kept) :]
    assert sum(dropped) + len(kept) == 10


def test_size_is_that_of_the_entries_after_any_replacement():
    pending = PendingWrites(10_000)
    pending.add(CLAIM, turn(1, "x" * 1_000, upcoming=((100, "y" * 50),)))
    pending.add(CLAIM, turn(1, "x"))
    assert pending.chars == 201
    pending.put_back(pending.take(9))
    assert pending.chars == 201
