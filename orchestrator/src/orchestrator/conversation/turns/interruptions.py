"""Handles speech over the replies of one session: opens a barge-in candidate, pauses, and applies its verdict."""

from __future__ import annotations

from orchestrator.conversation.echo.acoustic_echo import EchoEstimate
from orchestrator.conversation.echo.transcript_echo import NO_PLAYBACK, PlaybackContext
from orchestrator.conversation.messages.server import BargeInVerdict
from orchestrator.conversation.model.events import (
    Action,
    AnnounceBargeIn,
    PausePlayback,
    ResumePlayback,
    SetTimer,
    is_stop,
)
from orchestrator.conversation.model.ports import FinalTranscript, PartialTranscript
from orchestrator.conversation.turns.barge_in import BargeInCandidate, BargeInThresholds, is_transcript_echo
from orchestrator.conversation.turns.turn import Turn

_CONTINUATION = BargeInVerdict.BARGE_IN_VERDICT_CONTINUATION


class Interruptions:
    """Pauses and resumes the reply while a candidate is open; the caller acts on its verdict and calls `settle`.

    `held`: the client asked for a pause, so only the client resumes the reply. `rules` may change at any time and apply
    from the next candidate on.
    """

    def __init__(self, rules: BargeInThresholds) -> None:
        self.rules = rules
        self._candidate: BargeInCandidate | None = None
        self._turn_id = 0
        self._reply_turn_id = 0
        # When the client's echo canceller is still adapting; None until the first reply is sent.
        self._echo_canceller_settling: range | None = None
        # The turn that was confirmed as intended speech, whatever follows in it.
        self._confirmed_turn_id = 0
        self._echo_estimate: EchoEstimate | None = None
        self.held = False

    @property
    def is_pending(self) -> bool:
        """Whether a candidate is open."""
        return self._candidate is not None

    def update_echo(self, playback: PlaybackContext) -> None:
        """Update the echo estimate; `NO_PLAYBACK` leaves it unchanged."""
        if playback is NO_PLAYBACK:
            return
        self._echo_estimate = playback.echo_estimate
        if self._candidate is not None:
            self._candidate.echo_estimate = playback.echo_estimate

    def on_first_frame_sent(self, at_ms: int) -> None:
        """The first frame of a reply was sent at `at_ms`."""
        self.held = False
        if self._echo_canceller_settling is None:
            self._echo_canceller_settling = range(at_ms, at_ms + self.rules.settling_ms)

    def open_candidate(self, turn_id: int, reply_turn_id: int, at_ms: int) -> list[Action]:
        """Open a candidate: the user began to speak at `at_ms`, over the reply to `reply_turn_id`."""
        self._turn_id, self._reply_turn_id = turn_id, reply_turn_id
        learning = self._echo_canceller_settling is not None and at_ms in self._echo_canceller_settling
        pause_ms = (
            self._echo_canceller_settling.stop if learning and self._echo_canceller_settling is not None else at_ms
        )
        self._candidate = BargeInCandidate(self.rules, at_ms, pause_ms, echo_estimate=self._echo_estimate)
        return self.pending_actions(at_ms)

    def on_speech_started(self, at_ms: int) -> list[Action]:
        """The user speaks again before the verdict."""
        if self._candidate is None:
            return []
        self._candidate.on_speech_started(at_ms)
        return self.pending_actions(at_ms)

    def on_speech_stopped(self, at_ms: int) -> list[Action]:
        """The user is silent; the transcript decides."""
        if self._candidate is None:
            return []
        self._candidate.on_speech_stopped(at_ms)
        return self.pending_actions(at_ms)

    def on_partial(self, event: PartialTranscript, playback: PlaybackContext) -> BargeInVerdict | None:
        """Return the verdict on a partial transcript, if it brings one."""
        if self._candidate is None:
            return None
        return self._candidate.on_partial(event.text, event.confidence, event.end_ms, playback)

    def on_final(self, event: FinalTranscript, playback: PlaybackContext, *, more: bool) -> BargeInVerdict | None:
        """Return the verdict on a final transcript, if it brings one; `more`: the user is still speaking."""
        if self._candidate is None:
            return None
        return self._candidate.on_final(event.text, event.confidence, playback, more=more)

    def on_timer(self, at_ms: int) -> BargeInVerdict | None:
        """Return the verdict that elapsed time brings, if any."""
        return self._candidate.on_timer(at_ms) if self._candidate else None

    def pending_actions(self, now_ms: int) -> list[Action]:
        """The actions while there is no verdict: pause, resume, timers."""
        candidate = self._candidate
        if candidate is None:
            return []
        actions: list[Action] = []
        if candidate.waits_too_long(now_ms) or candidate.is_only_echo:
            actions += self._resume_playback()
        elif candidate.speaking and not candidate.paused and now_ms >= candidate.pause_ms:
            candidate.paused = True
            actions.append(PausePlayback(self._reply_turn_id))
        return [*actions, *(SetTimer(alarm_ms) for alarm_ms in candidate.alarms_ms())]

    def settle(self, verdict: BargeInVerdict) -> list[Action]:
        """Close the candidate with a verdict; a false alarm resumes the reply."""
        actions: list[Action] = [AnnounceBargeIn(self._turn_id, self._reply_turn_id, verdict)]
        if is_stop(verdict):
            self._confirmed_turn_id = self._turn_id
        elif verdict is _CONTINUATION:
            self._confirmed_turn_id = self._reply_turn_id
        else:
            actions += self._resume_playback()
        self._candidate = None
        return actions

    def is_doubtful(self, turn_id: int, voiced_ms: int) -> bool:
        """Whether the turn began over a reply and was not confirmed as intended speech."""
        return self._turn_id == turn_id != self._confirmed_turn_id and voiced_ms < self.rules.stop_ms

    def confirm_turn(self, turn_id: int) -> None:
        """Confirm a turn as intended speech: the client ended it."""
        self._confirmed_turn_id = turn_id

    def reset(self) -> None:
        """Close the candidate without a verdict: there is no reply to interrupt."""
        self._candidate = None
        self.held = False

    def is_echo(self, turn: Turn, playback: PlaybackContext) -> bool:
        """Whether a turn outside any candidate is only the echo of the reply's end."""
        if turn.turn_id == self._confirmed_turn_id:
            return False
        if self.rules.is_only_echo(playback.echo_estimate):
            return True
        return turn.voiced_ms <= self.rules.hold_ms and is_transcript_echo(turn.text, playback)

    def _resume_playback(self) -> list[Action]:
        candidate = self._candidate
        if candidate is None or not candidate.paused:
            return []
        candidate.paused = False
        return [] if self.held else [ResumePlayback(self._reply_turn_id)]
