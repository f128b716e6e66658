"""The user's turn while it is open, and the numbers that it is judged by."""

from __future__ import annotations

from dataclasses import dataclass, field

from orchestrator.conversation.messages.server import Word
from orchestrator.conversation.model.events import AnnounceFinal, CommitSegment
from orchestrator.conversation.model.ports import FinalTranscript
from orchestrator.conversation.turns.barge_in import BargeInRules, has_words
from orchestrator.conversation.turns.endpointing import Endpointing
from orchestrator.conversation.turns.speculation import Speculation


@dataclass(frozen=True, slots=True)
class TurnRules:
    """The numbers of turn-taking."""

    endpointing: Endpointing = field(default_factory=Endpointing)
    # How far this server stretches the waits for users who do not say: 0.5 (brisk) to 2 (patient).
    patience: float = 1.0
    # Replies begun on a provisional transcript of one turn, and how much of it may have been voiced by then; after
    # that, only on the committed one.
    max_speculations: int = 3
    speculation_speech_ms: int = 10_000
    # Speech this long goes on with a turn, words or no words: 300 ms, and what passes until its end is noticed.
    resumed_speech_ms: int = 400
    # A turn without words is answered with "I did not catch that" when at least this much of it was voiced.
    did_not_catch_ms: int = 700
    barge_in: BargeInRules = field(default_factory=BargeInRules)
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
    speculation: Speculation
    opened_ms: int
    speech_end_ms: int = 0
    voiced_ms: int = 0
    texts: dict[int, str] = field(default_factory=dict[int, str])
    alternatives: dict[int, tuple[str, ...]] = field(default_factory=dict[int, tuple[str, ...]])
    words: dict[int, tuple[Word, ...]] = field(default_factory=dict[int, tuple[Word, ...]])
    due_ms: int | None = None
    # Somebody judged this silence, or it has been told that nobody did.
    wait_explained: bool = False
    # A transcript has been asked for and is not here yet.
    transcript_pending: bool = False
    # The silence has lasted; only the transcript is waited for.
    commit_on_transcript: bool = False
    # A transcript that was asked for before speech resumed is still to come.
    stale_transcript_pending: bool = False
    finals: int = 0

    @property
    def text(self) -> str:
        """What was said in this turn, as far as it is known."""
        return " ".join(text for _, text in sorted(self.texts.items()) if text)

    def voiced_until(self, end_ms: int) -> int:
        """How much of the turn was voiced, in milliseconds, if the user has spoken on to `end_ms`."""
        speaking = self.speech_start_ms > self.speech_end_ms
        return self.voiced_ms + max(0, end_ms - self.speech_start_ms) * speaking

    def on_speech_started(self, at_ms: int) -> None:
        """The user speaks, from `at_ms` on."""
        self.speech_start_ms = at_ms
        self.due_ms = None
        self.stale_transcript_pending = self.transcript_pending
        self.transcript_pending = self.commit_on_transcript = False

    def on_speech_stopped(self, at_ms: int) -> None:
        """The user is silent since `at_ms`; the transcript is asked for."""
        self.voiced_ms = self.voiced_until(at_ms)
        self.speech_end_ms = at_ms
        self.transcript_pending = True
        self.speculation.on_speech_stopped()

    def on_end_turn(self, voiced_ms: int) -> None:
        """The user says that the turn is over, and has spoken since the last pause, for `voiced_ms` or so."""
        self.voiced_ms += voiced_ms
        self.transcript_pending = True
        self.speculation.on_speech_stopped()

    def add_final(self, final: FinalTranscript) -> AnnounceFinal:
        """Take in the transcript of the open segment, and tell it."""
        self.texts[final.segment_id] = final.text if has_words(final.text) else ""
        self.alternatives[final.segment_id] = final.alternatives
        self.words[final.segment_id] = final.words
        self.finals += 1
        return AnnounceFinal(self.turn_id, self.finals, self.text, final.language, final.confidence, self._all_words())

    def _all_words(self) -> tuple[Word, ...]:
        """The words of the turn's text; none where a part of it has none."""
        told = [segment_id for segment_id, text in sorted(self.texts.items()) if text]
        if any(not self.words[segment_id] for segment_id in told):
            return ()
        return tuple(word for segment_id in told for word in self.words[segment_id])

    def continues_after(self, final: FinalTranscript) -> bool:
        """Whether a transcript was asked for before the user went on, so that there will be more."""
        outdated = self.stale_transcript_pending and final.end_ms < self.speech_start_ms
        self.stale_transcript_pending = self.stale_transcript_pending and not outdated
        return outdated

    def text_with(self, segment_id: int, text: str) -> str:
        """The turn's text, were `text` all that is known of a segment."""
        return " ".join(known for _, known in sorted({**self.texts, segment_id: text}.items()) if known)

    @property
    def readings(self) -> tuple[str, ...]:
        """Other readings of it."""
        return tuple(reading for _, readings in sorted(self.alternatives.items()) for reading in readings)


class TurnIds:
    """Gives out the numbers. One segment is open at any time: that of the open turn, or of the next one."""

    def __init__(self, rules: TurnRules, last_turn_id: int) -> None:
        self._rules = rules
        self._last_turn_id = last_turn_id
        self._segment_id = 1

    def next_turn_id(self) -> int:
        """The number of a new turn."""
        self._last_turn_id += 1
        return self._last_turn_id

    def new_turn(self, at_ms: int) -> Turn:
        """A new turn that begins `at_ms`, in the open segment."""
        turn_id, rules = self.next_turn_id(), self._rules
        speculation = Speculation(turn_id, rules.max_speculations, rules.speculation_speech_ms, rules.resumed_speech_ms)
        return Turn(turn_id, self._segment_id, at_ms, at_ms, speculation, at_ms)

    def reassign_segment(self, turn: Turn) -> None:
        """A turn whose segments were all closed goes on in the open one."""
        turn.segment_id, turn.segment_start_ms = self._segment_id, 0

    def next_segment(self, turn: Turn, start_ms: int) -> CommitSegment:
        """Close the turn's segment; what is said from `start_ms` on belongs to the next one."""
        closed = turn.segment_id
        self._segment_id = closed + 1
        turn.segment_id, turn.segment_start_ms = self._segment_id, start_ms
        return CommitSegment(closed)
