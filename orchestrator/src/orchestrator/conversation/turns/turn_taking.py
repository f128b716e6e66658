"""The turn-taking policy: a sans-I/O state machine from events to actions.

Two axes: the user is silent or speaking; the anchor is idle, thinking (a reply is due, nothing of it was sent yet) or
speaking. Nothing here waits, reads a clock or performs I/O: `TurnTaking.handle` takes an event and returns actions.

A user's turn lives in `Turn` from the first speech edge until it commits. At each silence the policy requests the
transcript, and speculates: it starts a reply, unreleased, as soon as there are words (`speculation.py`). The turn
commits when the silence has lasted for the end-of-turn wait (`dynamic_endpointing.py`). Speech before that continues
the turn and discards the unreleased reply, unless it was a cough. Speech that begins after that, but before the first
sample of the reply was heard, reopens the turn: at once while nothing of the reply was sent, otherwise by the verdict
of a barge-in candidate, which a cough or an echo does not pass.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import assert_never

from orchestrator.conversation.echo.transcript_echo import NO_PLAYBACK, PlaybackContext
from orchestrator.conversation.messages.client import EndTurn, Interrupt, Pause, Resume, SpeakAgain, TextInput
from orchestrator.conversation.messages.server import BargeIn, BargeInVerdict
from orchestrator.conversation.model import events as do
from orchestrator.conversation.model.events import Action, PolicyEvent, is_stop
from orchestrator.conversation.model.ports import (
    FinalTranscript,
    PartialTranscript,
    SpeechStarted,
    SpeechStopped,
    TurnEndPredicted,
)
from orchestrator.conversation.turns.anchor_state import AnchorPhase, AnchorState
from orchestrator.conversation.turns.dynamic_endpointing import DynamicEndpointing
from orchestrator.conversation.turns.interruptions import Interruptions
from orchestrator.conversation.turns.turn import Turn, TurnIds, TurnRules


class UserState(Enum):
    """Whether the user speaks."""

    SILENT = auto()
    SPEAKING = auto()


class TurnTaking:
    """The policy of one session.

    `endpointing.patience` may change at any time and applies from the next silence on, `speculates` from the next turn.
    """

    def __init__(self, rules: TurnRules, last_turn_id: int = 0, patience: float = 1.0) -> None:
        self._rules = rules
        self.endpointing = DynamicEndpointing(rules.endpointing, patience)
        self._user_state = UserState.SILENT
        self._turn: Turn | None = None
        self._anchor_state = AnchorState()
        self._interruptions = Interruptions(rules.barge_in)
        self._turn_ids = TurnIds(rules, last_turn_id)
        # Whether turns that begin from now on may be answered before they are over.
        self.speculates = True

    def set_barge_in(self, choice: BargeIn) -> None:
        """Apply what the user chose, from the next sound over a reply on."""
        self._interruptions.rules = self._rules.barge_in.with_choice(choice)

    @property
    def user_state(self) -> UserState:
        """Whether the user speaks."""
        return self._user_state

    @property
    def anchor_phase(self) -> AnchorPhase:
        """Whether the anchor is idle, thinking or speaking."""
        return self._anchor_state.phase

    @property
    def listening_since_ms(self) -> int | None:
        """Start of the user's open turn; None while there is none."""
        return self._turn.opened_ms if self._turn else None

    def has_begun_turn(self, turn_id: int) -> bool:
        """Whether a turn of the conversation has had this id."""
        return self._turn_ids.has_begun(turn_id)

    def skip_speech(self) -> list[Action]:
        """The speech that begins now gets no turn; called between turns."""
        return [self._turn_ids.skip_segment()]

    def handle(self, event: PolicyEvent, playback: PlaybackContext = NO_PLAYBACK) -> list[Action]:
        """The actions that `event` causes, in order.

        `playback` is what the anchor was saying when the event's speech was heard, which may be its echo.
        """
        self._interruptions.update_echo(playback)
        match event:
            case SpeechStarted():
                return self._on_speech_started(event)
            case SpeechStopped():
                return self._on_speech_stopped(event.at_ms)
            case TurnEndPredicted():
                return self._on_turn_end_predicted(event)
            case PartialTranscript():
                return self._on_partial(event, playback)
            case FinalTranscript():
                return self._on_final(event, playback)
            case do.TimerFired():
                return self._on_timer(event.at_ms)
            case do.TranscriptOverdue():
                return self._on_transcript_overdue(event.segment_id)
            case EndTurn():
                return self._on_end_turn()
            case TextInput():
                return self._on_text_input(event.text, event.replaces_turn_id)
            case SpeakAgain():
                return self._on_speak_again(event)
            case do.TurnCutOff():
                return self._on_turn_cut_off(event.text)
            case Interrupt():
                return self._stop_reply()
            case Pause():
                return self._set_held(True)
            case Resume():
                return self._set_held(False)
            case do.FirstFrameSent():
                return self._on_first_frame_sent(event.turn_id, event.at_ms)
            case do.FirstSampleHeard():
                return self._on_first_sample_heard(event.turn_id, event.at_ms)
            case do.ReplyDone() | do.ReplyFailed():
                return self._on_reply_over(event.turn_id)
            case _:
                assert_never(event)

    # ------------------------------------------------------------------------------------------------------------
    # The user's turn

    def _on_speech_started(self, event: SpeechStarted) -> list[Action]:
        self._user_state = UserState.SPEAKING
        actions = self._interruptions.on_speech_started(event.at_ms)
        if (turn := self._turn) is None:
            continued = self._anchor_state.turn_continued_by(event.at_ms)
            if continued and self.anchor_phase is AnchorPhase.THINKING:
                turn = continued
                self._turn_ids.reassign_segment(turn)
                actions += self._reopen_turn(turn, event.at_ms)
            else:
                turn = self._turn_ids.new_turn(event.at_ms, speculates=self.speculates)
                actions += self._open_turn(turn)
        turn.on_speech_started(event.at_ms)
        if turn.is_overdue and self.anchor_phase is AnchorPhase.SPEAKING and not self._interruptions.is_pending:
            # The user speaks over the apology for a transcript that is still missing.
            actions += self._open_barge_in_candidate(turn)
        actions += turn.speculation.on_speech_resumed(event.at_ms)
        # A segment whose transcript is missing stays open, so that its words still belong to the turn.
        longest_ms = self._rules.max_segment_ms if turn.stale_transcript_pending else self._rules.segment_ms
        if event.at_ms - turn.segment_start_ms > longest_ms:
            actions.append(self._turn_ids.next_segment(turn, event.at_ms))
        return [*actions, do.StartListening(event.pre_roll_start_ms)]

    def _open_turn(self, turn: Turn) -> list[Action]:
        self._turn = turn
        if self.anchor_phase is AnchorPhase.IDLE:
            return [do.OpenTurn(turn.turn_id), do.PrefillPrompt(turn.turn_id)]
        candidate = self._open_barge_in_candidate(turn) if self.anchor_phase is AnchorPhase.SPEAKING else []
        return [do.OpenTurn(turn.turn_id), *candidate]

    def _on_speech_stopped(self, at_ms: int) -> list[Action]:
        self._user_state = UserState.SILENT
        turn = self._turn
        if turn is None:
            return []
        turn.on_speech_stopped(at_ms)
        return [
            do.FlushSegment(turn.segment_id),
            *self.endpointing.on_silence(turn),
            *self._interruptions.on_speech_stopped(at_ms),
        ]

    def _on_turn_end_predicted(self, event: TurnEndPredicted) -> list[Action]:
        turn = self._turn
        if turn is None or self._user_state is UserState.SPEAKING or event.at_ms != turn.speech_end_ms:
            return []
        return self.endpointing.on_prediction(turn, event)

    def _on_partial(self, event: PartialTranscript, playback: PlaybackContext) -> list[Action]:
        turn = self._turn
        if turn is None or event.segment_id != turn.segment_id:
            return []
        text = turn.text_with(event.segment_id, event.text)
        actions: list[Action] = [do.AnnouncePartial(turn.turn_id, text)]
        actions += self._apply_verdict(turn, self._interruptions.on_partial(event, playback), event.end_ms)
        if self._turn and self._turn is not turn:
            return [
                *actions,
                do.AnnouncePartial(self._turn.turn_id, self._turn.text_with(event.segment_id, event.text)),
            ]
        return [*actions, *turn.speculation.on_transcript(text)]

    def _on_final(self, event: FinalTranscript, playback: PlaybackContext) -> list[Action]:
        turn = self._turn
        if turn is None or event.segment_id != turn.segment_id:
            return []
        actions: list[Action] = [turn.add_final(event)]
        goes_on = turn.continues_after(event)
        verdict = self._interruptions.on_final(event, playback, more=goes_on or self._user_state is UserState.SPEAKING)
        actions += self._apply_verdict(turn, verdict, event.end_ms)
        if self._turn and self._turn is not turn:
            turn = self._turn
            actions.append(turn.add_final(event))
        if goes_on:
            return actions
        if self._user_state is UserState.SILENT:
            turn.transcript_pending = False
        if self._turn is None or self._interruptions.is_pending:
            return actions
        if self._user_state is UserState.SILENT:
            if turn.is_overdue:
                # The words come after the apology, which the user may be hearing.
                actions += self._stop_reply()
            elif self._interruptions.is_echo(turn, playback):
                return [*actions, *self._discard_echo_turn(turn)]
        actions += turn.speculation.speculate(turn.text, turn.all_alternatives, turn.voiced_until(event.end_ms))
        if self._user_state is UserState.SILENT and turn.commit_on_transcript:
            actions += self._commit_turn(turn)
        return actions

    def _on_timer(self, at_ms: int) -> list[Action]:
        turn = self._turn
        if turn is None:
            return []
        actions = self._apply_verdict(turn, self._interruptions.on_timer(at_ms), at_ms)
        turn = self._turn or turn
        if self._user_state is UserState.SPEAKING:
            return [*actions, *turn.speculation.on_timer(at_ms)]
        if turn.due_ms is None or at_ms < turn.due_ms:
            return actions
        return [*actions, *self.endpointing.on_wait_over(turn), *self._on_wait_over(turn)]

    def _on_wait_over(self, turn: Turn) -> list[Action]:
        """Commit the turn now, or as soon as its transcript arrives."""
        if turn.transcript_pending:
            turn.commit_on_transcript = True
            return []
        return self._commit_turn(turn)

    def _commit_turn(self, turn: Turn) -> list[Action]:
        actions: list[Action] = [self._close_turn(turn)]
        if text := turn.text:
            actions += turn.speculation.begin(text, turn.all_alternatives)
            self._anchor_state.begin(turn.turn_id, turn)
            return [*actions, do.CommitTurn(turn.turn_id, text), do.ReleaseReply(turn.turn_id)]
        if turn.is_overdue:
            # Its user has had the apology already.
            return actions
        if turn.voiced_ms >= self._rules.did_not_catch_ms and self.anchor_phase is AnchorPhase.IDLE:
            self._anchor_state.begin(turn.turn_id)
            actions.append(do.SpeakPhrase(turn.turn_id, "did_not_catch"))
        return actions

    def _on_transcript_overdue(self, segment_id: int) -> list[Action]:
        turn = self._turn
        if turn is None or turn.segment_id != segment_id or not turn.transcript_pending:
            return []
        if self._interruptions.is_pending:
            return self._apply_verdict(turn, BargeInVerdict.BARGE_IN_VERDICT_COUGH, turn.speech_end_ms)
        if not turn.is_overdue and self._interruptions.is_doubtful(turn.turn_id, turn.voiced_ms):
            # A short sound over a reply that continued: its words are not needed.
            return [self._close_turn(turn)]
        apologised_turn_id = turn.turn_id
        actions = turn.speculation.drop()
        self._anchor_state.begin(apologised_turn_id)
        # The turn goes on under another id, until its words come: an id has one reply.
        turn.on_transcript_overdue(self._turn_ids.next_turn_id())
        return [*actions, do.SpeakPhrase(apologised_turn_id, "apology"), do.OpenTurn(turn.turn_id)]

    def _on_end_turn(self) -> list[Action]:
        turn = self._turn
        if turn is None:
            return []
        actions: list[Action] = []
        turn.due_ms = None
        self._interruptions.confirm_turn(turn.turn_id)
        if self._interruptions.is_pending:
            actions += self._continue_answered_turn(turn) or self._stop_reply()
            turn = self._turn or turn
        if self._user_state is UserState.SPEAKING:
            # The client ended the turn: only the transcript is waited for.
            self._user_state = UserState.SILENT
            turn.on_end_turn(self._rules.did_not_catch_ms)
            actions.append(do.FlushSegment(turn.segment_id))
        return [*actions, *self._on_wait_over(turn)]

    def _on_text_input(self, text: str, replaced: int | None = None) -> list[Action]:
        turn_id, actions = self._begin_turn_without_speech()
        if replaced is not None:
            # Before the reply, whose prompt is without the replaced turn.
            actions.append(do.ReplaceTurn(turn_id, replaced))
        actions += [do.OpenTurn(turn_id), do.StartReply(turn_id, 1, text)]
        return [*actions, do.CommitTurn(turn_id, text, replaced), do.ReleaseReply(turn_id)]

    def _on_speak_again(self, event: SpeakAgain) -> list[Action]:
        turn_id, actions = self._begin_turn_without_speech()
        return [*actions, do.OpenTurn(turn_id), do.SpeakReplyAgain(turn_id, event.turn_id, event.from_cut)]

    def _begin_turn_without_speech(self) -> tuple[int, list[Action]]:
        """Stop the reply, drop the open turn, and begin one that a command of the client asks for."""
        actions = self._stop_reply()
        if self._turn:
            actions += self._turn.speculation.drop()
            actions.append(self._close_turn(self._turn))
        turn_id = self._turn_ids.next_turn_id()
        self._anchor_state.begin(turn_id)
        return turn_id, actions

    def _on_turn_cut_off(self, text: str) -> list[Action]:
        """Answer what was asked before the restart, or ask for it again; nothing once the user speaks."""
        if self._turn is not None or self.anchor_phase is not AnchorPhase.IDLE:
            return []
        if text:
            return self._on_text_input(text)
        turn_id = self._turn_ids.next_turn_id()
        self._anchor_state.begin(turn_id)
        return [do.OpenTurn(turn_id), do.SpeakPhrase(turn_id, "did_not_catch")]

    def _close_turn(self, turn: Turn) -> do.CommitSegment:
        """Close the turn: further speech belongs to the next one."""
        self._turn = None
        return self._turn_ids.next_segment(turn, 0)

    def _reopen_turn(self, turn: Turn, at_ms: int) -> list[Action]:
        """Reopen the answered turn, which the user continues from `at_ms` on, and withdraw its reply."""
        if turn.due_ms is not None:
            self.endpointing.learned_floor.on_cut_off(at_ms - turn.speech_end_ms)
        turn.wordless_reopenings += 1
        self._anchor_state.end()
        self._turn = turn
        return [do.ReopenTurn(turn.turn_id), *turn.speculation.drop()]

    def _continue_answered_turn(self, turn: Turn) -> list[Action]:
        """Reopen the answered turn with the speech of `turn`, if that began before any of the reply was heard."""
        continued = self._anchor_state.turn_continued_by(turn.opened_ms)
        if continued is None:
            return []
        settled = self._interruptions.settle(BargeInVerdict.BARGE_IN_VERDICT_CONTINUATION)
        self._interruptions.reset()
        actions = self._reopen_turn(continued, turn.opened_ms)
        continued.absorb(turn)
        return [*settled, *actions]

    # ------------------------------------------------------------------------------------------------------------
    # The anchor's reply

    def _on_first_frame_sent(self, turn_id: int, at_ms: int) -> list[Action]:
        if not self._anchor_state.on_first_frame_sent(turn_id):
            return []
        self._interruptions.on_first_frame_sent(at_ms)
        return (
            self._open_barge_in_candidate(self._turn) if self._turn and self._user_state is UserState.SPEAKING else []
        )

    def _on_first_sample_heard(self, turn_id: int, at_ms: int) -> list[Action]:
        is_new = self._anchor_state.on_first_sample_heard(turn_id, at_ms)
        # Speech that began before may still turn out to be a continuation.
        if is_new and self._anchor_state.answers_speech and self._turn is None:
            self.endpointing.learned_floor.on_turn_confirmed()
        return []

    def _on_reply_over(self, turn_id: int) -> list[Action]:
        if self._anchor_state.on_reply_over(turn_id):
            self._interruptions.reset()
        elif self._turn and self._turn.turn_id == turn_id:
            # An unreleased reply failed: the commit starts another one.
            self._turn.speculation.answered_text = None
        return []

    def _set_held(self, hold: bool) -> list[Action]:
        """The client pauses or resumes the reply."""
        if self.anchor_phase is not AnchorPhase.SPEAKING:
            return []
        self._interruptions.held = hold
        turn_id = self._anchor_state.turn_id
        return [do.PausePlayback(turn_id) if hold else do.ResumePlayback(turn_id)]

    def _open_barge_in_candidate(self, turn: Turn) -> list[Action]:
        return self._interruptions.open_candidate(turn.turn_id, self._anchor_state.turn_id, turn.speech_start_ms)

    def _apply_verdict(self, turn: Turn, verdict: BargeInVerdict | None, now_ms: int) -> list[Action]:
        """Apply a verdict on speech over the reply: continue the answered turn, stop the reply, or close the turn."""
        if verdict is None:
            return self._interruptions.pending_actions(now_ms)
        if is_stop(verdict) and (continuation := self._continue_answered_turn(turn)):
            return continuation
        actions = self._interruptions.settle(verdict)
        if is_stop(verdict):
            return [*actions, *self._stop_reply()]
        # A sound over the apology closes no turn whose words are still to come.
        return actions if turn.is_overdue else [*actions, self._close_turn(turn)]

    def _discard_echo_turn(self, turn: Turn) -> list[Action]:
        """Discard a turn that was only the echo of the reply's end."""
        verdict = BargeInVerdict.BARGE_IN_VERDICT_ECHO
        announcement = do.AnnounceBargeIn(turn.turn_id, self._anchor_state.turn_id, verdict)
        return [announcement, *turn.speculation.drop(), self._close_turn(turn)]

    def _stop_reply(self) -> list[Action]:
        self._interruptions.reset()
        if self.anchor_phase is AnchorPhase.IDLE:
            return []
        self._anchor_state.end()
        return [do.StopReply(self._anchor_state.turn_id)]
