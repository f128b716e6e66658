"""What a client that comes in is told of the session."""

from __future__ import annotations

from collections.abc import Iterator

from service_kit.audio import MICROPHONE, SPEECH

from orchestrator.conversation.messages.server import ServerMessage, SessionStarted, SessionUpdated
from orchestrator.conversation.model.conversation import Conversation
from orchestrator.conversation.model.services import Peers
from orchestrator.conversation.session.choices import choices


def welcome(session_id: str, conversation: Conversation, peers: Peers, *, resumed: bool) -> Iterator[ServerMessage]:
    """The greeting of a session, which is `resumed` when it or its conversation has a past."""
    chosen = conversation.preferences
    yield SessionStarted(
        session_id=session_id,
        ticket=conversation.ticket,
        language=chosen.language,
        voice=chosen.voice,
        persona=chosen.persona,
        microphone_sample_rate_hz=MICROPHONE.rate_hz,
        anchor_sample_rate_hz=SPEECH.rate_hz,
        resumed=resumed,
        patience=chosen.patience,
    )
    yield choices(peers)
    if resumed:
        yield settings(conversation)


def settings(conversation: Conversation) -> SessionUpdated:
    """What is set now."""
    chosen = conversation.preferences
    return SessionUpdated(chosen.language, chosen.voice, chosen.persona, chosen.patience, chosen.style)
