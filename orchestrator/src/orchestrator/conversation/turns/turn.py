"""The user's open turn, the rules that apply to it, and the numbering of turns and segments."""

from __future__ import annotations

from dataclasses import dataclass, field

from orchestrator.conversation.messages.server import Word
from orchestrator.conversation.model.events import AnnounceFinal, CommitSegment
from orchestrator.conversation.model.ports import FinalTranscript
from orchestrator.conversation.turns.barge_in import BargeInThresholds, has_words
from orchestrator.conversation.turns.endpointing import Endpointing
from orchestrator.conversation.turns.speculation import Speculation


@dataclass(frozen=True, slots=True)
class TurnRules:
    """Settings of turn-taking; durations in milliseconds."""

    endpointing: Endpointing = field(default_factory=Endpointing)
    # The patience of users who choose none: 0.5 (brisk) to 2 (patient).
    patience: float = 1.0
    # Speculation: replies started per turn before it commits, and the voiced length up to which they are started.
    max_speculations: int = 3
    speculation_speech_ms: int = 10_000
    # Resumed speech of this length continues a turn, with or without words: 300 ms plus the detection delay.
    resumed_speech_ms: int = 400
    # A turn without words is answered with "I did not catch that" when at least this much was voiced.
    did_not_catch_ms: int = 700
    barge_in: BargeInThresholds = field(default_factory=BargeInThresholds)
    # Latency budget from the end of speech to the first frame sent.
    latency_budget_ms: int = 2_000
    # A segment of this length is closed at the next silence, which bounds the work of speech-to-text.
    segment_ms: int = 25_000
    # One whose transcript is missing stays open up to this length; stt-service refuses segments of 600 s.
    max_segment_ms: int = 300_000


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
    # The wait of this silence was reported to the client.
    wait_explained: bool = False
    # A transcript was requested and has not arrived.
    transcript_pending: bool = False
    # The wait is over: commit as soon as the transcript arrives.
    commit_on_transcript: bool = False
    # A transcript requested before speech resumed has not arrived.
    stale_transcript_pending: bool = False
    # The user was told that the transcript is late; it is answered when it comes.
    is_overdue: bool = False
    finals: int = 0
    # How often the turn was reopened since its latest transcript with words.
    wordless_reopenings: int = 0

    @property
    def text(self) -> str:
        """The text of the turn so far."""
        return " ".join(text for _, text in sorted(self.texts.items()) if text)

    def voiced_until(self, end_ms: int) -> int:
        """Voiced milliseconds of the turn, counting current speech up to `end_ms`."""
        speaking = not self.speech_end_ms or self.speech_start_ms > self.speech_end_ms
        return self.voiced_ms + max(0, end_ms - self.speech_start_ms) * speaking

    def on_speech_started(self, at_ms: int) -> None:
        """Record that the user speaks from `at_ms` on."""
        self.speech_start_ms = at_ms
        self.due_ms = None
        self.stale_transcript_pending = self.transcript_pending
        self.transcript_pending = self.commit_on_transcript = False

    def on_speech_stopped(self, at_ms: int) -> None:
        """Record that the user is silent from `at_ms` on, and that the transcript is requested."""
        self.voiced_ms = self.voiced_until(at_ms)
        self.speech_end_ms = at_ms
        self.transcript_pending = True
        self.speculation.on_speech_stopped()

    def on_end_turn(self, voiced_ms: int) -> None:
        """Record that the client ended the turn in mid-speech; about `voiced_ms` were voiced since the last pause."""
        self.voiced_ms += voiced_ms
        self.transcript_pending = True
        self.speculation.on_speech_stopped()

    def on_transcript_overdue(self, turn_id: int) -> None:
        """Record that the user was told of the late transcript; the turn continues as `turn_id`."""
        self.turn_id = self.speculation.turn_id = turn_id
        self.is_overdue = self.commit_on_transcript = True

    def add_final(self, final: FinalTranscript) -> AnnounceFinal:
        """Store the transcript of the open segment; return the announcement of the turn's new text."""
        self.texts[final.segment_id] = final.text if has_words(final.text) else ""
        if self.texts[final.segment_id]:
            self.wordless_reopenings = 0
        self.alternatives[final.segment_id] = final.alternatives
        self.words[final.segment_id] = final.words
        self.finals += 1
        return AnnounceFinal(
            self.turn_id,
            self.finals,
            self.text,
            final.language,
            final.confidence,
            self._all_words(),
            final.language_probability,
        )

    def _all_words(self) -> tuple[Word, ...]:
        """The timed words of the turn's text; empty when a part of it has none."""
        transcribed = [segment_id for segment_id, text in sorted(self.texts.items()) if text]
        if any(not self.words[segment_id] for segment_id in transcribed):
            return ()
        return tuple(word for segment_id in transcribed for word in self.words[segment_id])

    def absorb(self, continuation: Turn) -> None:
        """Continue this closed turn with the open turn `continuation`: its segment, transcripts and silence."""
        self.segment_id, self.segment_start_ms = continuation.segment_id, continuation.segment_start_ms
        self.speech_start_ms = continuation.speech_start_ms
        self.speech_end_ms = continuation.speech_end_ms or self.speech_end_ms
        self.voiced_ms += continuation.voiced_ms
        self.texts |= continuation.texts
        self.alternatives |= continuation.alternatives
        self.words |= continuation.words
        self.due_ms, self.wait_explained = continuation.due_ms, continuation.wait_explained
        self.transcript_pending = continuation.transcript_pending
        self.commit_on_transcript = continuation.commit_on_transcript
        self.stale_transcript_pending = continuation.stale_transcript_pending

    def continues_after(self, final: FinalTranscript) -> bool:
        """Whether `final` predates resumed speech, so that another transcript follows."""
        outdated = self.stale_transcript_pending and final.end_ms < self.speech_start_ms
        self.stale_transcript_pending = self.stale_transcript_pending and not outdated
        return outdated

    def text_with(self, segment_id: int, text: str) -> str:
        """The turn's text with `text` in place of a segment's transcript."""
        return " ".join(known for _, known in sorted({**self.texts, segment_id: text}.items()) if known)

    @property
    def all_alternatives(self) -> tuple[str, ...]:
        """Alternative transcripts of the turn."""
        return tuple(text for _, texts in sorted(self.alternatives.items()) for text in texts)


class TurnIds:
    """Numbers turns and segments from 1. One segment is always open: that of the open turn, or of the next one."""

    def __init__(self, rules: TurnRules, last_turn_id: int) -> None:
        self._rules = rules
        self._last_turn_id = last_turn_id
        self._segment_id = 1

    def next_turn_id(self) -> int:
        """Allocate the id of a new turn."""
        self._last_turn_id += 1
        return self._last_turn_id

    def has_begun(self, turn_id: int) -> bool:
        """Whether a turn of the conversation has had this id."""
        return 1 <= turn_id <= self._last_turn_id

    def new_turn(self, at_ms: int, *, speculates: bool = True) -> Turn:
        """Create a turn that begins at `at_ms` in the open segment; with `speculates`, it may be answered early."""
        turn_id, rules = self.next_turn_id(), self._rules
        tries = rules.max_speculations if speculates else 0
        speculation = Speculation(turn_id, tries, rules.speculation_speech_ms, rules.resumed_speech_ms)
        return Turn(turn_id, self._segment_id, at_ms, at_ms, speculation, at_ms)

    def reassign_segment(self, turn: Turn) -> None:
        """Continue a reopened turn, whose segments are closed, in the open segment."""
        turn.segment_id, turn.segment_start_ms = self._segment_id, 0

    def skip_segment(self) -> CommitSegment:
        """Close the open segment, which belongs to no turn."""
        self._segment_id += 1
        return CommitSegment(self._segment_id - 1)

    def next_segment(self, turn: Turn, start_ms: int) -> CommitSegment:
        """Close the turn's segment; speech from `start_ms` on belongs to the next one."""
        closed = turn.segment_id
        self._segment_id = closed + 1
        turn.segment_id, turn.segment_start_ms = self._segment_id, start_ms
        return CommitSegment(closed)
