"""The invariants that hold under every fault, checked in one place.

- I1: no silence of more than 3 s that is not explained, while the listener is owed an answer;
- I2: every accepted transcript and every heard word is stored exactly once;
- I3: no audio of a cancelled reply;
- I4: everything works again within 60 s after the fault, unaided.

Pure: it judges the notes of a trial. All times are in seconds on one clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from faulty_mesh import StoredTurn
from listener import Span

MAX_SILENCE_S = 3.0
# The speaker is polled, and the machine is shared.
SLACK_S = 0.3
BASELINE_WITHIN_S = 60.0


@dataclass
class Notes:
    """What one listener saw in one trial.

    `owed` is when an answer was owed, `explained` when an impairment was visible. `committed` and `heard` are the
    user's words and the heard words of each turn, `cut_off` those of replies whose end was not reported: the start of
    what must be stored. `recovered_s` is when everything worked again, None if it did not.
    """

    began_s: float
    ended_s: float
    owed: list[Span] = field(default_factory=list)
    audible: list[Span] = field(default_factory=list)
    explained: list[Span] = field(default_factory=list)
    committed: dict[int, str] = field(default_factory=dict)
    heard: dict[int, str] = field(default_factory=dict)
    cut_off: dict[int, str] = field(default_factory=dict)
    stored: Sequence[StoredTurn] = ()
    # How often each thing that the user said has to be stored: at least, at most.
    said: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    cancelled_frames: int = 0
    recovered_s: float | None = None


def violations(notes: Notes) -> list[str]:
    """What the notes show against the invariants, one line each."""
    return [*_silence(notes), *_storage(notes), *_cancelled(notes), *_recovery(notes)]


def longest_silence_s(notes: Notes, *, explained: bool) -> float:
    """The longest silence while an answer was owed; with `explained`, an explanation ends it as sound does."""
    covers = [*notes.audible, *(notes.explained if explained else ())]
    return max((gap for owed in notes.owed for gap in _gaps_s(owed, covers)), default=0.0)


def _gaps_s(owed: Span, covers: Iterable[Span]) -> Iterable[float]:
    """The lengths of the stretches of `owed` that nothing covers."""
    at_s = owed.start_s
    for cover in sorted(covers, key=lambda span: span.start_s):
        if cover.end_s <= at_s:
            continue
        if cover.start_s >= owed.end_s:
            break
        yield max(0.0, cover.start_s - at_s)
        at_s = cover.end_s
    yield max(0.0, owed.end_s - at_s)


def _silence(notes: Notes) -> Iterable[str]:
    silent_s = longest_silence_s(notes, explained=True)
    if silent_s > MAX_SILENCE_S + SLACK_S:
        yield f"I1: {silent_s:.1f} s of silence without an explanation"


def _storage(notes: Notes) -> Iterable[str]:
    users = [turn for turn in notes.stored if turn.role == "user"]
    anchors = [turn for turn in notes.stored if turn.role == "anchor"]
    for turn_id, text in notes.committed.items():
        stored = [turn.text for turn in users if turn.turn_id == turn_id]
        if stored != [text]:
            yield f"I2: the words {text!r} of turn {turn_id} are stored as {stored}"
    for turn_id, text in notes.heard.items():
        stored = [turn.text for turn in anchors if turn.turn_id == turn_id]
        if stored != [text] * bool(text):
            yield f"I2: of turn {turn_id} {text!r} was heard, and {stored} is stored"
    for turn_id, text in notes.cut_off.items():
        stored = [turn.text for turn in anchors if turn.turn_id == turn_id]
        if text and (len(stored) != 1 or not stored[0].startswith(text)):
            yield f"I2: of turn {turn_id} {text!r} was played before it was cut off, and {stored} is stored"
    for text, (at_least, at_most) in notes.said.items():
        count = sum(turn.text.count(text) for turn in users)
        if not at_least <= count <= at_most:
            yield f"I2: {text!r} was said {at_least} to {at_most} times, and is stored {count} times"


def _cancelled(notes: Notes) -> Iterable[str]:
    if notes.cancelled_frames:
        yield f"I3: {notes.cancelled_frames} frames of a cancelled reply"


def _recovery(notes: Notes) -> Iterable[str]:
    if notes.recovered_s is None or notes.recovered_s - notes.ended_s > BASELINE_WITHIN_S:
        yield f"I4: not as before within {BASELINE_WITHIN_S:.0f} s after the fault"
