"""Turn-taking: whose turn it is, as a pure function of what happened.

Two axes: the user is silent or speaking; the anchor is idle, thinking (its answer is due, nothing was heard yet) or
speaking. Nothing here waits, reads a clock or does anything: `on` takes an event and returns what to do.

A user's turn lives in `Turn` from the first speech edge until it commits. At each silence the transcript is asked
for, and a reply is begun into a held buffer as soon as there are words (`speculation.py`); the turn commits when the
silence has lasted as long as the user is waited for (`patience.py`). Speech before that goes on with the turn, and
drops the held reply unless it was a cough. Speech after that, but before anything was heard, takes the answer back:
the turn is reopened.
"""

from __future__ import annotations

from enum import Enum, auto

from orchestrator.conversation.echo.transcript_echo import NO_PLAYBACK, PlaybackContext
from orchestrator.conversation.messages.client import EndTurn, Interrupt, Pause, Resume, TextInput
from orchestrator.conversation.messages.server import BargeInVerdict
from orchestrator.conversation.model import events as do
from orchestrator.conversation.model.events import Action, Event
from orchestrator.conversation.model.ports import (
    FinalTranscript,
    PartialTranscript,
    SpeechStarted,
    SpeechStopped,
    TurnEndPredicted,
)
from orchestrator.conversation.turns.anchor_state import AnchorPhase, AnchorState
from orchestrator.conversation.turns.dynamic_endpointing import DynamicEndpointing
from orchestrator.conversation.turns.interruptions import Interruptions, stops
from orchestrator.conversation.turns.turn import Turn, TurnIds, TurnRules


class User(Enum):
    """What the user does."""

    SILENT = auto()
    SPEAKING = auto()


class TurnTaking:
    """The policy of one session. `patience` may be changed at any time: it holds from the next silence on."""

    def __init__(self, rules: TurnRules, last_turn_id: int = 0, patience: float = 1.0) -> None:
        self._rules = rules
        self.patience = DynamicEndpointing(rules.endpointing, patience)
        self._user = User.SILENT
        self._turn: Turn | None = None
        self._anchor_state = AnchorState()
        self._interruptions = Interruptions(rules.barge_in)
        self._turn_ids = TurnIds(rules, last_turn_id)

    @property
    def user(self) -> User:
        """What the user does."""
        return self._user

    @property
    def anchor(self) -> AnchorPhase:
        """What the anchor does."""
        return self._anchor_state.anchor

    @property
    def listening_since_ms(self) -> int | None:
        """Where the open turn of the user began; None while there is none."""
        return self._turn.opened_ms if self._turn else None

    def handle(self, event: Event, playback: PlaybackContext = NO_PLAYBACK) -> list[Action]:
        """What to do about `event`, in order.

        With what is heard comes what the anchor was `playback` meanwhile: it may be no more than its echo.
        """
        self._interruptions.update_echo(playback)
        match event:
            case SpeechStarted():
                return self._voice_started(event)
            case SpeechStopped():
                return self._voice_stopped(event.at_ms)
            case TurnEndPredicted():
                return self._turn_end_judged(event)
            case PartialTranscript():
                return self._partial(event, playback)
            case FinalTranscript():
                return self._final(event, playback)
            case do.TimerFired():
                return self._woken(event.at_ms)
            case do.TranscriptOverdue():
                return self._overdue(event.segment_id)
            case EndTurn():
                return self._end_turn()
            case TextInput():
                return self._text_input(event.text)
            case Interrupt():
                return self._stop_reply()
            case Pause():
                return self._hold(True)
            case Resume():
                return self._hold(False)
            case do.ReplyAudible():
                return self._audible(event.turn_id, event.at_ms)
            case do.ReplyDone() | do.ReplyFailed():
                return self._reply_over(event.turn_id)
            case _:
                return []

    # ------------------------------------------------------------------------------------------------------------
    # The user's half

    def _voice_started(self, event: SpeechStarted) -> list[Action]:
        self._user = User.SPEAKING
        actions = self._interruptions.on_speech_started(event.at_ms)
        if (turn := self._turn) is None:
            if turn := self._anchor_state.reopenable:
                actions += self._reopen(turn, event.at_ms)
            else:
                turn = self._turn_ids.turn(event.at_ms)
                actions += self._open(turn)
        turn.resume(event.at_ms)
        actions += turn.speculation.suspect(event.at_ms)
        if event.at_ms - turn.segment_start_ms > self._rules.segment_ms:
            actions.append(self._turn_ids.next_segment(turn, event.at_ms))
        return [*actions, do.StartListening(event.pre_roll_start_ms)]

    def _open(self, turn: Turn) -> list[Action]:
        self._turn = turn
        if self.anchor is AnchorPhase.IDLE:
            return [do.OpenTurn(turn.turn_id), do.PrefillPrompt(turn.turn_id)]
        candidate = self._suspect_barge_in(turn) if self.anchor is AnchorPhase.SPEAKING else []
        return [do.OpenTurn(turn.turn_id), *candidate]

    def _voice_stopped(self, at_ms: int) -> list[Action]:
        self._user = User.SILENT
        turn = self._turn
        if turn is None:
            return []
        turn.pause(at_ms)
        return [
            do.FlushSegment(turn.segment_id),
            *self.patience.silence(turn),
            *self._interruptions.on_speech_stopped(at_ms),
        ]

    def _turn_end_judged(self, event: TurnEndPredicted) -> list[Action]:
        turn = self._turn
        if turn is None or self._user is User.SPEAKING or event.at_ms != turn.speech_end_ms:
            return []
        return self.patience.judged(turn, event)

    def _partial(self, event: PartialTranscript, playback: PlaybackContext) -> list[Action]:
        turn = self._turn
        if turn is None or event.segment_id != turn.segment_id:
            return []
        text = turn.text_with(event.segment_id, event.text)
        actions = self._settle(turn, self._interruptions.on_partial(event, playback), event.end_ms)
        return [do.AnnouncePartial(turn.turn_id, text), *actions, *turn.speculation.on_transcript(text)]

    def _final(self, event: FinalTranscript, playback: PlaybackContext) -> list[Action]:
        turn = self._turn
        if turn is None or event.segment_id != turn.segment_id:
            return []
        actions: list[Action] = [turn.add_final(event)]
        goes_on = turn.continues_after(event)
        verdict = self._interruptions.on_final(event, playback, more=goes_on or self._user is User.SPEAKING)
        actions += self._settle(turn, verdict, event.end_ms)
        if goes_on:
            return actions
        if self._user is User.SILENT:
            turn.flushed = False
        if self._turn is None or self._interruptions.is_pending:
            return actions
        if self._user is User.SILENT and self._interruptions.is_echo(turn, playback):
            return [*actions, *self._forget_echo(turn)]
        actions += turn.speculation.attempt(turn.text, turn.readings, turn.voiced_until(event.end_ms))
        if self._user is User.SILENT and turn.awaited:
            actions += self._commit(turn)
        return actions

    def _woken(self, at_ms: int) -> list[Action]:
        turn = self._turn
        if turn is None:
            return []
        actions = self._settle(turn, self._interruptions.on_timer(at_ms), at_ms)
        if self._user is User.SPEAKING:
            return [*actions, *turn.speculation.on_timer(at_ms)]
        if turn.due_ms is None or at_ms < turn.due_ms:
            return actions
        return [*actions, *self.patience.over(turn), *self._due(turn)]

    def _due(self, turn: Turn) -> list[Action]:
        """The silence has lasted long enough; without a transcript yet, commit as soon as there is one."""
        if turn.flushed:
            turn.awaited = True
            return []
        return self._commit(turn)

    def _commit(self, turn: Turn) -> list[Action]:
        actions: list[Action] = [self._close(turn)]
        if text := turn.text:
            actions += turn.speculation.begin(text, turn.readings)
            self._anchor_state.begin(turn.turn_id, turn)
            return [*actions, do.CommitTurn(turn.turn_id, text), do.ReleaseReply(turn.turn_id)]
        if turn.voiced_ms >= self._rules.did_not_catch_ms and self.anchor is AnchorPhase.IDLE:
            self._anchor_state.begin(turn.turn_id)
            actions.append(do.SpeakPhrase(turn.turn_id, "did_not_catch"))
        return actions

    def _overdue(self, segment_id: int) -> list[Action]:
        turn = self._turn
        if turn is None or turn.segment_id != segment_id or not turn.flushed:
            return []
        if self._interruptions.is_pending:
            return self._settle(turn, BargeInVerdict.BARGE_IN_VERDICT_COUGH, turn.speech_end_ms)
        actions: list[Action] = [self._close(turn)]
        if self._interruptions.is_doubtful(turn.turn_id, turn.voiced_ms):
            # A short sound over a reply that went on: nobody misses the words.
            return actions
        self._anchor_state.begin(turn.turn_id)
        return [*actions, do.SpeakPhrase(turn.turn_id, "apology")]

    def _end_turn(self) -> list[Action]:
        turn = self._turn
        if turn is None:
            return []
        actions: list[Action] = []
        turn.due_ms = None
        self._interruptions.confirm_turn(turn.turn_id)
        if self._interruptions.is_pending:
            actions += self._stop_reply()
        if self._user is User.SPEAKING:
            # The user says so: nothing needs to be waited for but the transcript.
            self._user = User.SILENT
            turn.end(self._rules.did_not_catch_ms)
            actions.append(do.FlushSegment(turn.segment_id))
        return [*actions, *self._due(turn)]

    def _text_input(self, text: str) -> list[Action]:
        actions = self._stop_reply()
        if self._turn:
            actions += self._turn.speculation.drop()
            actions.append(self._close(self._turn))
        turn_id = self._turn_ids.turn_id()
        self._anchor_state.begin(turn_id)
        actions += [do.OpenTurn(turn_id), do.StartReply(turn_id, 1, text)]
        return [*actions, do.CommitTurn(turn_id, text), do.ReleaseReply(turn_id)]

    def _close(self, turn: Turn) -> do.CommitSegment:
        """The turn is over: what is said next belongs to another one."""
        self._turn = None
        return self._turn_ids.next_segment(turn, 0)

    def _reopen(self, turn: Turn, at_ms: int) -> list[Action]:
        if turn.due_ms is not None:
            self.patience.habit.cut_off_after(at_ms - turn.speech_end_ms)
        self._anchor_state.end()
        self._turn = turn
        self._turn_ids.go_on_with(turn)
        return [*turn.speculation.drop(), do.ReopenTurn(turn.turn_id)]

    # ------------------------------------------------------------------------------------------------------------
    # The anchor's half

    def _audible(self, turn_id: int, at_ms: int) -> list[Action]:
        waited_for = self._anchor_state.reopenable
        if not self._anchor_state.became_audible(turn_id):
            return []
        if waited_for:
            self.patience.habit.turn_stood()
        self._interruptions.on_reply_audible(at_ms)
        return self._suspect_barge_in(self._turn) if self._turn and self._user is User.SPEAKING else []

    def _reply_over(self, turn_id: int) -> list[Action]:
        if self._anchor_state.is_over(turn_id):
            self._interruptions.reset()
        elif self._turn and self._turn.turn_id == turn_id:
            # Held, and broken before anybody heard of it: the commit begins another.
            self._turn.speculation.answered = None
        return []

    def _hold(self, hold: bool) -> list[Action]:
        """The client pauses the reply, or lets it go on."""
        if self.anchor is not AnchorPhase.SPEAKING:
            return []
        self._interruptions.held = hold
        turn_id = self._anchor_state.turn_id
        return [do.PausePlayback(turn_id) if hold else do.ResumePlayback(turn_id)]

    def _suspect_barge_in(self, turn: Turn) -> list[Action]:
        return self._interruptions.open_candidate(turn.turn_id, self._anchor_state.turn_id, turn.speech_start_ms)

    def _settle(self, turn: Turn, verdict: BargeInVerdict | None, now_ms: int) -> list[Action]:
        """What a verdict on speech over the reply brings about: its end, or that of a turn that was none."""
        if verdict is None:
            return self._interruptions.pending_actions(now_ms)
        actions = self._interruptions.settle(verdict)
        return [*actions, *(self._stop_reply() if stops(verdict) else [self._close(turn)])]

    def _forget_echo(self, turn: Turn) -> list[Action]:
        """The last of the reply was heard again; nobody spoke."""
        verdict = BargeInVerdict.BARGE_IN_VERDICT_ECHO
        announcement = do.AnnounceBargeIn(turn.turn_id, self._anchor_state.turn_id, verdict)
        return [announcement, *turn.speculation.drop(), self._close(turn)]

    def _stop_reply(self) -> list[Action]:
        self._interruptions.reset()
        if self.anchor is AnchorPhase.IDLE:
            return []
        self._anchor_state.end()
        return [do.StopReply(self._anchor_state.turn_id)]
