"""Events of a conversation, and the actions with which the turn-taking policy answers them.

VAD events and transcripts (`ports`) and client commands (`messages.client`) enter the event queue unchanged; all other
events are defined here. All times are on the audio clock.

Each event has one handler: `TurnTaking.handle` takes every `PolicyEvent`, `Session` every `SessionEvent`. Both end in
`assert_never`, so an event without a handler is a type error.
"""

from __future__ import annotations

from dataclasses import dataclass

from service_kit.errors import AnchorError

from orchestrator.conversation.messages.client import (
    EndTurn,
    Interrupt,
    Pause,
    Ping,
    PlaybackProgress,
    RequestStatus,
    Resume,
    SetSpeechActivity,
    SpeakAgain,
    TextInput,
)
from orchestrator.conversation.messages.server import BargeInVerdict, WaitDecision, Word
from orchestrator.conversation.model.conversation import Preference
from orchestrator.conversation.model.ports import PlaceStatus, Transcript, TurnEndPredicted, VadEvent

_STOPS = (BargeInVerdict.BARGE_IN_VERDICT_STOP_WORDS, BargeInVerdict.BARGE_IN_VERDICT_STOP_DURATION)


def is_stop(verdict: BargeInVerdict) -> bool:
    """Whether a verdict stops the reply."""
    return verdict in _STOPS


@dataclass(frozen=True, slots=True)
class TimerFired:
    """A timer set with `SetTimer` fired, at `at_ms`."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class FirstFrameSent:
    """The first frame of a released reply was sent, at `at_ms`."""

    turn_id: int
    at_ms: int = 0


@dataclass(frozen=True, slots=True)
class FirstSampleHeard:
    """The client played the first sample of a reply at `at_ms`, by its reports or by the estimate."""

    turn_id: int
    at_ms: int = 0


@dataclass(frozen=True, slots=True)
class ActivityReported:
    """The microphone had speech with this probability at `at_ms`."""

    at_ms: int
    probability: float


@dataclass(frozen=True, slots=True)
class ReplyDone:
    """The client heard a reply to its end."""

    turn_id: int


@dataclass(frozen=True, slots=True)
class ReplyFailed:
    """A reply failed."""

    turn_id: int
    error: AnchorError


@dataclass(frozen=True, slots=True)
class TurnCutOff:
    """The process that had the conversation before ended in mid-turn, before the reply was heard.

    `text` is the user's; empty when the user was still speaking, and the words are lost.
    """

    text: str


@dataclass(frozen=True, slots=True)
class TurnStored:
    """The store committed a turn as it was; `heard_ms` of its reply, None while that is not over."""

    turn_id: int
    heard_ms: int | None


@dataclass(frozen=True, slots=True)
class ServiceLost:
    """Voice activity or speech-to-text failed; a fallback, or nothing, replaces it until it recovers."""

    service: str
    error: AnchorError


@dataclass(frozen=True, slots=True)
class ServiceRecovered:
    """A lost service works again; `error` is the one it was lost with."""

    service: str
    error: AnchorError


@dataclass(frozen=True, slots=True)
class TranscriptOverdue:
    """No transcript of a flushed segment arrived in time."""

    segment_id: int


@dataclass(frozen=True, slots=True)
class Connected:
    """A client connected or reconnected; `number` counts the session's connections from 1."""

    number: int


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The client's connection dropped."""


@dataclass(frozen=True, slots=True)
class PlaceChanged:
    """The session waited for a place, and has one now or has moved up in the queue."""

    status: PlaceStatus


@dataclass(frozen=True, slots=True)
class ProcessStopping:
    """The process stops: the session ends after the turn in progress."""


# Events that the turn-taking policy decides on.
PolicyEvent = (
    VadEvent
    | Transcript
    | EndTurn
    | TextInput
    | SpeakAgain
    | Interrupt
    | Pause
    | Resume
    | TimerFired
    | TranscriptOverdue
    | FirstFrameSent
    | FirstSampleHeard
    | ReplyDone
    | ReplyFailed
    | TurnCutOff
)
# Events that concern the session alone.
SessionEvent = (
    Preference
    | PlaybackProgress
    | RequestStatus
    | Ping
    | SetSpeechActivity
    | ActivityReported
    | ServiceLost
    | ServiceRecovered
    | Connected
    | Disconnected
    | TurnStored
    | PlaceChanged
    | ProcessStopping
)
Event = PolicyEvent | SessionEvent


# ---------------------------------------------------------------------------------------------------------------
# Actions


@dataclass(frozen=True, slots=True)
class Wait:
    """How long a silence is waited for, counted from the end of speech, and what decided it."""

    ms: int
    decided_by: WaitDecision


@dataclass(frozen=True, slots=True)
class OpenTurn:
    """The user began a turn."""

    turn_id: int


@dataclass(frozen=True, slots=True)
class PrefillPrompt:
    """Prefill the language model with the known part of the next prompt while the user speaks."""

    turn_id: int


@dataclass(frozen=True, slots=True)
class StartListening:
    """Send audio to speech-to-text, from `from_ms` on."""

    from_ms: int


@dataclass(frozen=True, slots=True)
class FlushSegment:
    """Ask for the transcript of the open segment and stop sending audio."""

    segment_id: int


@dataclass(frozen=True, slots=True)
class CommitSegment:
    """Close the open segment."""

    segment_id: int


@dataclass(frozen=True, slots=True)
class StartReply:
    """Generate and synthesise a reply into the playout buffer, unreleased."""

    turn_id: int
    revision: int
    text: str
    alternatives: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SpeakPhrase:
    """Speak one of the persona's phrases; released immediately."""

    turn_id: int
    phrase: str


@dataclass(frozen=True, slots=True)
class SpeakReplyAgain:
    """Speak the reply of `source_turn_id` again, released immediately; with `from_cut`, what was not heard of it."""

    turn_id: int
    source_turn_id: int
    from_cut: bool


@dataclass(frozen=True, slots=True)
class ReplaceTurn:
    """The turn `turn_id` corrects `replaced_turn_id`: nothing of that stays in the history."""

    turn_id: int
    replaced_turn_id: int


@dataclass(frozen=True, slots=True)
class DropReply:
    """Withdraw a reply, sent or not; nothing of it enters history."""

    turn_id: int


@dataclass(frozen=True, slots=True)
class CommitTurn:
    """End the user's turn with this text; `replaces` is the turn that it corrects, None for none."""

    turn_id: int
    text: str
    replaces: int | None = None


@dataclass(frozen=True, slots=True)
class ReopenTurn:
    """Reopen a committed turn: the user continues it. Comes before the `DropReply` of its reply."""

    turn_id: int


@dataclass(frozen=True, slots=True)
class ReleaseReply:
    """Release the reply to playout."""

    turn_id: int


@dataclass(frozen=True, slots=True)
class PausePlayback:
    """Pause playback of the reply."""

    turn_id: int


@dataclass(frozen=True, slots=True)
class ResumePlayback:
    """Resume playback of the reply."""

    turn_id: int


@dataclass(frozen=True, slots=True)
class StopReply:
    """End the reply; history keeps the part that was heard."""

    turn_id: int


@dataclass(frozen=True, slots=True)
class AnnouncePartial:
    """Send the partial transcript of this turn."""

    turn_id: int
    text: str


@dataclass(frozen=True, slots=True)
class AnnounceFinal:
    """Send the final transcript of this turn; `revision` counts the finals of the turn."""

    turn_id: int
    revision: int
    text: str
    language: str
    confidence: float | None
    # The words of the whole text; empty when part of it has no times.
    words: tuple[Word, ...] = ()
    # Probability of `language`; None where the engine provides none.
    language_probability: float | None = None


@dataclass(frozen=True, slots=True)
class AnnounceWait:
    """Send the wait for the silence that began at `at_ms`, and its reason; `prediction` is None when none was made."""

    at_ms: int
    wait: Wait
    patience: float
    prediction: TurnEndPredicted | None


@dataclass(frozen=True, slots=True)
class AnnounceBargeIn:
    """Send the verdict on speech over a reply; `turn_id` is the turn that the speech opened."""

    turn_id: int
    reply_turn_id: int
    verdict: BargeInVerdict


@dataclass(frozen=True, slots=True)
class SetTimer:
    """Send `TimerFired` at this time."""

    at_ms: int


Action = (
    OpenTurn
    | PrefillPrompt
    | StartListening
    | FlushSegment
    | CommitSegment
    | StartReply
    | SpeakPhrase
    | SpeakReplyAgain
    | ReplaceTurn
    | DropReply
    | CommitTurn
    | ReopenTurn
    | ReleaseReply
    | PausePlayback
    | ResumePlayback
    | StopReply
    | AnnouncePartial
    | AnnounceFinal
    | AnnounceWait
    | AnnounceBargeIn
    | SetTimer
)
