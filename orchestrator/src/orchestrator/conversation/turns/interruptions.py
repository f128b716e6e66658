"""Interruptions: what one session makes of speech over its replies, from one suspicion to the next."""

from __future__ import annotations

from orchestrator.conversation.echo.acoustic_echo import Likeness
from orchestrator.conversation.echo.transcript_echo import SILENCE, Sounding
from orchestrator.conversation.messages.server import BargeInVerdict
from orchestrator.conversation.model.events import Action, AnnounceBargeIn, PausePlayback, ResumePlayback, WakeAt
from orchestrator.conversation.model.ports import FinalHeard, PartialHeard
from orchestrator.conversation.turns.barge_in import BargeInRules, Suspicion, echoes
from orchestrator.conversation.turns.turn import Turn

_STOPS = (BargeInVerdict.BARGE_IN_VERDICT_STOP_WORDS, BargeInVerdict.BARGE_IN_VERDICT_STOP_DURATION)


def stops(verdict: BargeInVerdict) -> bool:
    """Whether the user meant to be heard."""
    return verdict in _STOPS


class Interruptions:
    """Holds the reply and lets it go on; who reads a verdict from it does the rest, and says so with `settle`.

    `held`: the client has asked for a pause, so that nothing but the client lets the reply go on.
    """

    def __init__(self, rules: BargeInRules) -> None:
        self._rules = rules
        self._suspicion: Suspicion | None = None
        self._turn_id = 0
        self._reply_turn_id = 0
        # When the client's echo canceller still learns; None until something was heard.
        self._settling: range | None = None
        # The turn that was found to be meant, whatever it sounds like from there on.
        self._meant_turn_id = 0
        self._likeness: Likeness | None = None
        self.held = False

    @property
    def suspected(self) -> bool:
        """Whether a verdict is due."""
        return self._suspicion is not None

    def heed(self, sounding: Sounding) -> None:
        """What of the anchor's own voice is in what is heard; `SILENCE` says nothing about that."""
        if sounding is SILENCE:
            return
        self._likeness = sounding.likeness
        if self._suspicion is not None:
            self._suspicion.likeness = sounding.likeness

    def audible(self, at_ms: int) -> None:
        """A reply begins to sound."""
        self.held = False
        if self._settling is None:
            self._settling = range(at_ms, at_ms + self._rules.settling_ms)

    def suspect(self, turn_id: int, reply_turn_id: int, at_ms: int) -> list[Action]:
        """The user began to speak `at_ms`, over the reply to `reply_turn_id`."""
        self._turn_id, self._reply_turn_id = turn_id, reply_turn_id
        learning = self._settling is not None and at_ms in self._settling
        pause_ms = self._settling.stop if learning and self._settling is not None else at_ms
        self._suspicion = Suspicion(self._rules, at_ms, pause_ms, likeness=self._likeness)
        return self.orders(at_ms)

    def speech_started(self, at_ms: int) -> list[Action]:
        """The user goes on before there was a verdict."""
        if self._suspicion is None:
            return []
        self._suspicion.speech_started(at_ms)
        return self.orders(at_ms)

    def speech_stopped(self, at_ms: int) -> list[Action]:
        """The user is silent; the transcript will tell."""
        if self._suspicion is None:
            return []
        self._suspicion.speech_stopped(at_ms)
        return self.orders(at_ms)

    def partial(self, event: PartialHeard, sounding: Sounding) -> BargeInVerdict | None:
        """What has been understood so far."""
        return self._suspicion.partial(event.text, event.end_ms, sounding) if self._suspicion else None

    def final(self, event: FinalHeard, sounding: Sounding, *, more: bool) -> BargeInVerdict | None:
        """What was understood; `more`: the user goes on."""
        if self._suspicion is None:
            return None
        return self._suspicion.final(event.text, event.confidence, sounding, more=more)

    def woken(self, at_ms: int) -> BargeInVerdict | None:
        """Whether time alone has brought a verdict."""
        return self._suspicion.at(at_ms) if self._suspicion else None

    def orders(self, now_ms: int) -> list[Action]:
        """What is to be done while there is no verdict."""
        suspicion = self._suspicion
        if suspicion is None:
            return []
        actions: list[Action] = []
        if suspicion.waits_too_long(now_ms) or suspicion.is_own_voice:
            actions += self._go_on()
        elif suspicion.speaking and not suspicion.paused and now_ms >= suspicion.pause_ms:
            suspicion.paused = True
            actions.append(PausePlayback(self._reply_turn_id))
        return [*actions, *(WakeAt(alarm_ms) for alarm_ms in suspicion.alarms_ms())]

    def settle(self, verdict: BargeInVerdict) -> list[Action]:
        """Tell the verdict; after a false alarm the reply goes on."""
        actions: list[Action] = [AnnounceBargeIn(self._turn_id, self._reply_turn_id, verdict)]
        if stops(verdict):
            self._meant_turn_id = self._turn_id
        else:
            actions += self._go_on()
        self._suspicion = None
        return actions

    def doubts(self, turn_id: int, voiced_ms: int) -> bool:
        """Whether the turn began as a sound over a reply, and nothing has shown that it was meant."""
        return self._turn_id == turn_id != self._meant_turn_id and voiced_ms < self._rules.stop_ms

    def mean(self, turn_id: int) -> None:
        """The client vouches for the turn."""
        self._meant_turn_id = turn_id

    def forget(self) -> None:
        """There is no reply any more that could be interrupted."""
        self._suspicion = None
        self.held = False

    def is_echo(self, turn: Turn, sounding: Sounding) -> bool:
        """Whether a turn that nothing suspects is but the last of the reply, heard again for a moment."""
        if turn.turn_id == self._meant_turn_id:
            return False
        if self._rules.explains(sounding.likeness):
            return True
        return turn.voiced_ms <= self._rules.hold_ms and echoes(turn.text, sounding)

    def _go_on(self) -> list[Action]:
        suspicion = self._suspicion
        if suspicion is None or not suspicion.paused:
            return []
        suspicion.paused = False
        return [] if self.held else [ResumePlayback(self._reply_turn_id)]
