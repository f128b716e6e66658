"""The user's turn while it is open, and the numbers that it is judged by."""

from __future__ import annotations

from dataclasses import dataclass, field

from orchestrator.conversation.endpointing import Endpointing


@dataclass(frozen=True, slots=True)
class TurnRules:
    """The numbers of turn-taking."""

    endpointing: Endpointing = field(default_factory=Endpointing)
    # Replies begun on a provisional transcript of one turn; after that, only on the committed one.
    max_speculations: int = 3
    # A turn without words is answered with "I did not catch that" when at least this much of it was voiced.
    did_not_catch_ms: int = 700
    # Speech this long over the reply stops it, words or no words.
    barge_in_ms: int = 500
    # What a turn may take from the end of speech to the first frame sent.
    latency_budget_ms: int = 2_000
    # A segment this long is closed at the next silence, so that a recogniser's work stays bounded.
    segment_ms: int = 25_000


@dataclass(slots=True)
class Turn:
    """The user's turn while it is open. Times are on the audio clock."""

    turn_id: int
    segment_id: int
    segment_start_ms: int
    speech_start_ms: int
    speech_end_ms: int = 0
    voiced_ms: int = 0
    texts: dict[int, str] = field(default_factory=dict[int, str])
    alternatives: dict[int, tuple[str, ...]] = field(default_factory=dict[int, tuple[str, ...]])
    due_ms: int | None = None
    # A transcript has been asked for and is not here yet.
    flushed: bool = False
    # The silence has lasted; only the transcript is waited for.
    awaited: bool = False
    # How many finals there were, and how many replies were begun.
    finals: int = 0
    revision: int = 0
    speculations: int = 0
    speculated: str | None = None

    @property
    def text(self) -> str:
        return " ".join(text for _, text in sorted(self.texts.items()) if text)

    @property
    def readings(self) -> tuple[str, ...]:
        return tuple(reading for _, readings in sorted(self.alternatives.items()) for reading in readings)
