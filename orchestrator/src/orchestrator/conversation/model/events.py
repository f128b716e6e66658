"""What happens in a conversation, and what the turn-taking policy wants done about it.

Events from the services (`ports.VadEvent`, `ports.Transcript`) and from the client (`messages.Command`) enter the
event_queue as they are; the rest stand here. All times are on the audio clock.
"""

from __future__ import annotations

from dataclasses import dataclass

from service_kit.errors import AnchorError

from orchestrator.conversation.connection.connection import Connection
from orchestrator.conversation.messages.client import Command
from orchestrator.conversation.messages.server import BargeInVerdict, Word
from orchestrator.conversation.model.ports import Transcript, TurnEndPredicted, VadEvent
from orchestrator.conversation.turns.endpointing import Wait


@dataclass(frozen=True, slots=True)
class TimerFired:
    """The moment asked for with `WakeAt` has come."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class ReplyAudible:
    """The first frame of a released reply has been sent, `at_ms` on the audio clock."""

    turn_id: int
    at_ms: int = 0


@dataclass(frozen=True, slots=True)
class ReplyDone:
    """A reply has been heard to its end."""

    turn_id: int


@dataclass(frozen=True, slots=True)
class ReplyFailed:
    """A reply broke off."""

    turn_id: int
    error: AnchorError


@dataclass(frozen=True, slots=True)
class ServiceLost:
    """A peer of the microphone is gone; what it did is done some other way, or not at all, until it returns."""

    service: str
    error: AnchorError


@dataclass(frozen=True, slots=True)
class ServiceRecovered:
    """A lost peer has returned; `error` is what it had been lost with."""

    service: str
    error: AnchorError


@dataclass(frozen=True, slots=True)
class TranscriptOverdue:
    """No transcript of a flushed segment has come in time."""

    segment_id: int


@dataclass(frozen=True, slots=True)
class Connected:
    """A client has come in, or come back."""

    connection: Connection


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The connection to the client has dropped."""


Event = (
    VadEvent
    | Transcript
    | Command
    | TimerFired
    | ReplyAudible
    | ReplyDone
    | ReplyFailed
    | ServiceLost
    | ServiceRecovered
    | Connected
    | Disconnected
    | TranscriptOverdue
)


# ---------------------------------------------------------------------------------------------------------------
# Actions


@dataclass(frozen=True, slots=True)
class OpenTurn:
    """The user has begun a turn."""

    turn_id: int


@dataclass(frozen=True, slots=True)
class PrefillPrompt:
    """Let the language model read what is known of the next prompt, while the user speaks."""

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
    """Think, and speak into a held buffer."""

    turn_id: int
    revision: int
    text: str
    alternatives: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SpeakPhrase:
    """Speak one of the persona's own phrases; released from the start."""

    turn_id: int
    phrase: str


@dataclass(frozen=True, slots=True)
class DropReply:
    """End a reply of which nothing was heard, as if it had never been."""

    turn_id: int


@dataclass(frozen=True, slots=True)
class CommitTurn:
    """The user's turn is over; this is what they said."""

    turn_id: int
    text: str


@dataclass(frozen=True, slots=True)
class ReopenTurn:
    """The user goes on with a turn that was held to be over."""

    turn_id: int


@dataclass(frozen=True, slots=True)
class ReleaseReply:
    """Let the held reply be heard."""

    turn_id: int


@dataclass(frozen=True, slots=True)
class PausePlayback:
    """Hold the reply where it is."""

    turn_id: int


@dataclass(frozen=True, slots=True)
class ResumePlayback:
    """Go on with a held reply."""

    turn_id: int


@dataclass(frozen=True, slots=True)
class StopReply:
    """End the reply; history keeps what was heard."""

    turn_id: int


@dataclass(frozen=True, slots=True)
class AnnouncePartial:
    """Tell what the user has said so far in this turn."""

    turn_id: int
    text: str


@dataclass(frozen=True, slots=True)
class AnnounceFinal:
    """Tell what the user said in this turn; `revision` counts the finals of the turn."""

    turn_id: int
    revision: int
    text: str
    language: str
    confidence: float | None
    # Of all of the text; empty where some of it has no times.
    words: tuple[Word, ...] = ()


@dataclass(frozen=True, slots=True)
class AnnounceWait:
    """Tell how long the silence that began `at_ms` is waited for, and why; no `judgement` when nobody judged it."""

    at_ms: int
    wait: Wait
    patience: float
    judgement: TurnEndPredicted | None


@dataclass(frozen=True, slots=True)
class AnnounceBargeIn:
    """Tell what the user's sound over a reply was; `turn_id` is the turn that it opened."""

    turn_id: int
    reply_turn_id: int
    verdict: BargeInVerdict


@dataclass(frozen=True, slots=True)
class SetTimer:
    """Send `Woken` at this moment."""

    at_ms: int


Action = (
    OpenTurn
    | PrefillPrompt
    | StartListening
    | FlushSegment
    | CommitSegment
    | StartReply
    | SpeakPhrase
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
