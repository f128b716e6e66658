"""What the client is told of the user's half of a turn."""

from __future__ import annotations

from orchestrator.conversation.messages.server import (
    FinalTranscript,
    PartialTranscript,
    ServerMessage,
    TurnEndPredicted,
)
from orchestrator.conversation.model.events import AnnounceFinal, AnnouncePartial, AnnounceWait


def announcement(action: AnnouncePartial | AnnounceFinal | AnnounceWait, *, word_times: bool) -> ServerMessage:
    """The message that says it, with the times of words where they are wanted."""
    match action:
        case AnnouncePartial():
            return PartialTranscript(action.turn_id, action.text)
        case AnnounceFinal():
            return FinalTranscript(
                action.turn_id,
                action.revision,
                action.text,
                action.language,
                action.confidence,
                action.words if word_times else (),
            )
        case AnnounceWait():
            judgement = action.judgement
            return TurnEndPredicted(
                at_ms=action.at_ms,
                probability=judgement.probability if judgement else None,
                predictor=judgement.predictor if judgement else "",
                wait_ms=action.wait.ms,
                patience=action.patience,
                decided_by=action.wait.decided_by,
                opinions=judgement.opinions if judgement else (),
                silence_ms=judgement.silence_ms if judgement else 0,
            )
