"""Which entries of a reply that is playing bring more of its words."""

from __future__ import annotations

from orchestrator.conversation.model.journal import Journal
from orchestrator.conversation.model.ports import Message
from orchestrator.conversation.model.store import Claim, Entry, NoStore, TurnEntry

HEARD = (Message("user", "And then?"), Message("anchor", "Once"))


class RecordingStore(NoStore):
    """Keeps the entries."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def record(self, claim: Claim, entry: Entry, on_saved=None) -> None:
        self.entries.append(entry)


def test_playback_of_words_that_were_saved_before_is_covered() -> None:
    store = RecordingStore()
    journal = Journal(store, Claim("ticket", 1))
    upcoming = ((700, "Once upon"), (1_400, "Once upon a time"))
    for turn_id, heard_ms, words in (
        (1, 200, upcoming),
        (1, 600, upcoming),
        (1, 900, upcoming[1:]),
        (1, 1_000, (*upcoming[1:], (1_900, "Once upon a time, far away"))),
        (2, 200, upcoming[1:]),
    ):
        journal.save_turn(turn_id, HEARD, heard_ms=heard_ms, upcoming=words)
    turns = [entry for entry in store.entries if isinstance(entry, TurnEntry)]
    assert [entry.is_covered for entry in turns] == [False, True, True, False, False]
