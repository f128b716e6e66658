"""Builds the messages that a session sends unasked: greeting, settings, choices, transcripts."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from service_kit.audio import MICROPHONE, SPEECH

from orchestrator.conversation.messages.server import (
    Choices,
    FinalTranscript,
    PartialTranscript,
    PersonaChoice,
    ServerMessage,
    SessionStarted,
    SessionUpdated,
    TurnEndPredicted,
    VoiceChoice,
)
from orchestrator.conversation.model.conversation import Conversation
from orchestrator.conversation.model.events import AnnounceFinal, AnnouncePartial, AnnounceWait
from orchestrator.conversation.model.services import LANGUAGES, Services


def greeting_messages(
    session_id: str, conversation: Conversation, services: Services, *, resumed: bool
) -> Iterator[ServerMessage]:
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
    yield choices(services)
    if resumed:
        yield session_updated(conversation)


def session_updated(conversation: Conversation) -> SessionUpdated:
    """What is set now."""
    chosen = conversation.preferences
    return SessionUpdated(chosen.language, chosen.voice, chosen.persona, chosen.patience, chosen.style)


def choices(services: Services) -> Choices:
    """What there is to choose from now."""
    return _with_voices(services, services.voices.value)


async def notify_choices(
    services: Services, known: tuple[VoiceChoice, ...], send: Callable[[ServerMessage], None]
) -> None:
    """Tell a client that was told of the voices `known`, whenever they change, until cancelled."""
    while True:
        known = await services.voices.wait_for_change(known)
        send(_with_voices(services, known))


def _with_voices(services: Services, voices: tuple[VoiceChoice, ...]) -> Choices:
    personas = tuple(PersonaChoice(each.id, each.name, each.description) for each in services.personas.values())
    return Choices(LANGUAGES, voices, personas)


def transcript_message(action: AnnouncePartial | AnnounceFinal | AnnounceWait, *, word_times: bool) -> ServerMessage:
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
            judgement = action.prediction
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
