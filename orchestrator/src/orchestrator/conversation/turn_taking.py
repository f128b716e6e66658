"""Turn-taking: whose turn it is, as a pure function of what happened.

Two axes: the user is silent or speaking; the anchor is idle, thinking (its answer is due, nothing was heard yet) or
speaking. Nothing here waits, reads a clock or does anything: `on` takes an event and returns what to do.

A user's turn lives in `Turn` from the first speech edge until it commits. At each silence the transcript is asked
for, and a reply is begun into a held buffer as soon as there are words; the turn commits when the silence has lasted
as long as the endpointing says. Speech before that drops the held reply and the turn goes on. Speech after that, but
before anything was heard, takes the answer back: the turn is reopened.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto

from orchestrator.conversation.barge_in import BargeIn, has_words
from orchestrator.conversation.events import (
    Action,
    AnnounceFinal,
    AnnouncePartial,
    AnnounceWait,
    CommitSegment,
    CommitTurn,
    DropReply,
    Event,
    Flush,
    Listen,
    OpenTurn,
    PausePlayback,
    ReleaseReply,
    ReopenTurn,
    ReplyAudible,
    ReplyDone,
    ReplyFailed,
    ResumePlayback,
    SayPhrase,
    StartReply,
    StopReply,
    TranscriptOverdue,
    WakeAt,
    Woken,
)
from orchestrator.conversation.messages import EndTurn, Interrupt, Pause, Resume, TextInput
from orchestrator.conversation.ports import FinalHeard, PartialHeard, TurnEndJudged, VoiceStarted, VoiceStopped
from orchestrator.conversation.turn import Turn, TurnRules


class User(Enum):
    """What the user does."""

    SILENT = auto()
    SPEAKING = auto()


class Anchor(Enum):
    """What the anchor does."""

    IDLE = auto()
    THINKING = auto()
    SPEAKING = auto()


class TurnTaking:
    """The policy of one session."""

    def __init__(self, rules: TurnRules, last_turn_id: int = 0) -> None:
        self._rules = rules
        self._user = User.SILENT
        self._anchor = Anchor.IDLE
        self._turn: Turn | None = None
        # The turn whose reply is due or sounding; its own `Turn` while it may still be reopened.
        self._answering: Turn | None = None
        self._answering_id = 0
        self._barge_in: BargeIn | None = None
        self._last_turn_id = last_turn_id
        self._segment_id = 1

    @property
    def user(self) -> User:
        """What the user does."""
        return self._user

    @property
    def anchor(self) -> Anchor:
        """What the anchor does."""
        return self._anchor

    def on(self, event: Event) -> Sequence[Action]:
        """What to do about `event`, in order."""
        match event:
            case VoiceStarted():
                return self._voice_started(event)
            case VoiceStopped():
                return self._voice_stopped(event.at_ms)
            case TurnEndJudged():
                return self._turn_end_judged(event)
            case PartialHeard():
                return self._partial(event)
            case FinalHeard():
                return self._final(event)
            case Woken():
                return self._woken(event.at_ms)
            case TranscriptOverdue():
                return self._overdue(event.segment_id)
            case EndTurn():
                return self._end_turn()
            case TextInput():
                return self._text_input(event.text)
            case Interrupt():
                return self._stop_reply()
            case Pause():
                return [PausePlayback(self._answering_id)] if self._anchor is Anchor.SPEAKING else []
            case Resume():
                return [ResumePlayback(self._answering_id)] if self._anchor is Anchor.SPEAKING else []
            case ReplyAudible():
                return self._audible(event.turn_id)
            case ReplyDone() | ReplyFailed():
                self._reply_over(event.turn_id)
                return []
            case _:
                return []

    # ------------------------------------------------------------------------------------------------------------
    # The user's half

    def _voice_started(self, event: VoiceStarted) -> list[Action]:
        self._user = User.SPEAKING
        actions: list[Action] = []
        if self._turn is None and self._anchor is Anchor.THINKING and self._answering is not None:
            actions += self._reopen(self._answering)
        if self._turn is None:
            self._last_turn_id += 1
            self._turn = Turn(self._last_turn_id, self._segment_id, event.at_ms, event.at_ms)
            actions.append(OpenTurn(self._turn.turn_id))
            if self._anchor is Anchor.SPEAKING:
                actions += self._suspect_barge_in(event.at_ms)
        turn = self._turn
        turn.speech_start_ms = event.at_ms
        turn.due_ms = None
        turn.flushed = turn.awaited = False
        if turn.speculated is not None:
            turn.speculated = None
            actions.append(DropReply(turn.turn_id))
        if event.at_ms - turn.segment_start_ms > self._rules.segment_ms:
            actions.append(self._next_segment(turn, event.at_ms))
        return [*actions, Listen(event.pre_roll_start_ms)]

    def _voice_stopped(self, at_ms: int) -> list[Action]:
        self._user = User.SILENT
        turn = self._turn
        if turn is None:
            return []
        turn.voiced_ms += max(0, at_ms - turn.speech_start_ms)
        turn.speech_end_ms = at_ms
        turn.flushed = True
        turn.due_ms = at_ms + self._rules.endpointing.unjudged_ms
        return [Flush(turn.segment_id), WakeAt(turn.due_ms)]

    def _turn_end_judged(self, event: TurnEndJudged) -> list[Action]:
        turn = self._turn
        if turn is None or self._user is User.SPEAKING or event.at_ms != turn.speech_end_ms:
            return []
        wait_ms = self._rules.endpointing.wait_ms(event.probability)
        turn.due_ms = event.at_ms + wait_ms
        announcement = AnnounceWait(event.at_ms, event.probability, event.predictor, wait_ms)
        return [announcement, WakeAt(turn.due_ms)]

    def _partial(self, event: PartialHeard) -> list[Action]:
        turn = self._turn
        if turn is None or event.segment_id != turn.segment_id:
            return []
        earlier = [text for segment, text in sorted(turn.texts.items()) if segment != event.segment_id and text]
        announcement = AnnouncePartial(turn.turn_id, " ".join([*earlier, event.text]))
        return [announcement, *self._words(event.text)]

    def _words(self, text: str) -> list[Action]:
        """Words over the reply are evidence."""
        if self._barge_in is None or not has_words(text):
            return []
        return self._stop_reply()

    def _final(self, event: FinalHeard) -> list[Action]:
        turn = self._turn
        if turn is None or event.segment_id != turn.segment_id:
            return []
        turn.texts[event.segment_id] = event.text if has_words(event.text) else ""
        turn.alternatives[event.segment_id] = event.alternatives
        turn.finals += 1
        announcement = AnnounceFinal(turn.turn_id, turn.finals, turn.text, event.language, event.confidence)
        actions: list[Action] = [announcement, *self._words(event.text)]
        if self._user is User.SILENT:
            turn.flushed = False
            if self._barge_in:
                return [*actions, *self._false_alarm(turn)]
        actions += self._speculate(turn)
        if self._user is User.SILENT and turn.awaited:
            actions += self._commit(turn)
        return actions

    def _speculate(self, turn: Turn) -> list[Action]:
        text = turn.text
        if not text or text == turn.speculated:
            return []
        actions: list[Action] = []
        if turn.speculated is not None:
            turn.speculated = None
            actions.append(DropReply(turn.turn_id))
        if turn.speculations < self._rules.max_speculations:
            turn.speculations += 1
            actions.append(self._start_reply(turn))
        return actions

    def _start_reply(self, turn: Turn) -> StartReply:
        turn.revision += 1
        turn.speculated = turn.text
        return StartReply(turn.turn_id, turn.revision, turn.text, turn.readings)

    def _woken(self, at_ms: int) -> list[Action]:
        if self._barge_in and self._user is User.SPEAKING and at_ms >= self._barge_in.verdict_ms:
            return self._stop_reply()
        turn = self._turn
        if turn is None or self._user is User.SPEAKING or turn.due_ms is None or at_ms < turn.due_ms:
            return []
        return self._due(turn)

    def _due(self, turn: Turn) -> list[Action]:
        """The silence has lasted long enough; without a transcript yet, commit as soon as there is one."""
        if turn.flushed:
            turn.awaited = True
            return []
        return self._commit(turn)

    def _commit(self, turn: Turn) -> list[Action]:
        actions: list[Action] = [self._close(turn)]
        if text := turn.text:
            if turn.speculated != text:
                actions.append(self._start_reply(turn))
            self._begin_answer(turn.turn_id, turn)
            return [*actions, CommitTurn(turn.turn_id, text), ReleaseReply(turn.turn_id)]
        if turn.voiced_ms >= self._rules.did_not_catch_ms and self._anchor is Anchor.IDLE:
            self._begin_answer(turn.turn_id, None)
            actions.append(SayPhrase(turn.turn_id, "did_not_catch"))
        return actions

    def _overdue(self, segment_id: int) -> list[Action]:
        turn = self._turn
        if turn is None or turn.segment_id != segment_id or not turn.flushed:
            return []
        actions: list[Action] = [self._close(turn)]
        if self._barge_in:
            actions += self._stop_reply()
        self._begin_answer(turn.turn_id, None)
        return [*actions, SayPhrase(turn.turn_id, "apology")]

    def _end_turn(self) -> list[Action]:
        turn = self._turn
        if turn is None:
            return []
        actions: list[Action] = []
        if self._barge_in:
            actions += self._stop_reply()
        if self._user is User.SPEAKING:
            # The user says so: nothing needs to be waited for but the transcript.
            self._user = User.SILENT
            turn.voiced_ms += self._rules.did_not_catch_ms
            turn.flushed = True
            actions.append(Flush(turn.segment_id))
        return [*actions, *self._due(turn)]

    def _text_input(self, text: str) -> list[Action]:
        actions = self._stop_reply()
        if self._turn:
            if self._turn.speculated is not None:
                actions.append(DropReply(self._turn.turn_id))
            actions.append(self._close(self._turn))
        self._last_turn_id += 1
        turn_id = self._last_turn_id
        self._begin_answer(turn_id, None)
        return [
            *actions,
            OpenTurn(turn_id),
            StartReply(turn_id, 1, text),
            CommitTurn(turn_id, text),
            ReleaseReply(turn_id),
        ]

    def _close(self, turn: Turn) -> CommitSegment:
        """The turn is over: what is said next belongs to another one."""
        self._turn = None
        return self._next_segment(turn, 0)

    def _next_segment(self, turn: Turn, start_ms: int) -> CommitSegment:
        closed = turn.segment_id
        self._segment_id = closed + 1
        turn.segment_id = self._segment_id
        turn.segment_start_ms = start_ms
        return CommitSegment(closed)

    def _reopen(self, turn: Turn) -> list[Action]:
        self._anchor, self._answering = Anchor.IDLE, None
        self._turn = turn
        turn.segment_id = self._segment_id
        turn.segment_start_ms = 0
        turn.speculated = None
        return [DropReply(turn.turn_id), ReopenTurn(turn.turn_id)]

    # ------------------------------------------------------------------------------------------------------------
    # The anchor's half

    def _begin_answer(self, turn_id: int, reopenable: Turn | None) -> None:
        self._anchor = Anchor.THINKING
        self._answering_id = turn_id
        self._answering = reopenable

    def _audible(self, turn_id: int) -> list[Action]:
        if turn_id != self._answering_id or self._anchor is not Anchor.THINKING:
            return []
        self._anchor = Anchor.SPEAKING
        self._answering = None
        if self._turn is not None and self._user is User.SPEAKING:
            return self._suspect_barge_in(self._turn.speech_start_ms)
        return []

    def _reply_over(self, turn_id: int) -> None:
        if turn_id == self._answering_id:
            self._anchor, self._answering, self._barge_in = Anchor.IDLE, None, None

    def _suspect_barge_in(self, at_ms: int) -> list[Action]:
        self._barge_in = BargeIn(at_ms, self._rules.barge_in_ms)
        return [PausePlayback(self._answering_id), WakeAt(self._barge_in.verdict_ms)]

    def _false_alarm(self, turn: Turn) -> list[Action]:
        """Nobody said anything: the reply goes on, and the turn that was none is forgotten."""
        self._barge_in = None
        return [self._close(turn), ResumePlayback(self._answering_id)]

    def _stop_reply(self) -> list[Action]:
        self._barge_in = None
        if self._anchor is Anchor.IDLE:
            return []
        self._anchor, self._answering = Anchor.IDLE, None
        return [StopReply(self._answering_id)]
