"""Builds the messages that a session sends without a request: greeting, settings, choices, transcripts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from service_kit.audio import MICROPHONE, SPEECH

from orchestrator.conversation.messages.server import (
    Choices,
    FinalTranscript,
    LanguageVoice,
    PartialTranscript,
    PersonaChoice,
    SampleQuestions,
    ServerMessage,
    SessionStarted,
    SessionUpdated,
    TurnEndPredicted,
    VoiceChoice,
)
from orchestrator.conversation.model.conversation import Conversation
from orchestrator.conversation.model.events import AnnounceFinal, AnnouncePartial, AnnounceWait
from orchestrator.conversation.model.ports import Persona
from orchestrator.conversation.model.services import LANGUAGE_CHOICES, LANGUAGES, Services


def greeting_messages(
    session_id: str, conversation: Conversation, services: Services, *, resumed: bool, retention_days: int | None
) -> Iterator[ServerMessage]:
    """The messages that greet a client; `resumed`: the session was greeted before, or the conversation has messages.

    `retention_days` is how long the conversation is stored; None when it is not.
    """
    preferences = conversation.preferences
    yield SessionStarted(
        session_id=session_id,
        ticket=conversation.ticket,
        language=preferences.language,
        voice=preferences.voice,
        persona=preferences.persona,
        microphone_sample_rate_hz=MICROPHONE.rate_hz,
        anchor_sample_rate_hz=SPEECH.rate_hz,
        resumed=resumed,
        patience=preferences.patience,
        retention_days=retention_days,
        sent_unix_s=round(time.time(), 3),
        barge_in=preferences.barge_in,
    )
    yield choices(services)
    if resumed:
        yield session_updated(conversation)


def session_updated(conversation: Conversation) -> SessionUpdated:
    """The current preferences."""
    preferences = conversation.preferences
    return SessionUpdated(
        preferences.language,
        preferences.voice,
        preferences.persona,
        preferences.patience,
        preferences.style,
        preferences.barge_in,
    )


def choices(services: Services) -> Choices:
    """The available languages, voices and personas, and questions to begin with."""
    return _with_voices(services, services.voices.value)


async def send_choices_on_change(
    services: Services, known_voices: tuple[VoiceChoice, ...], send: Callable[[ServerMessage], None]
) -> None:
    """Send a client that has `known_voices` the new choices whenever the voices change, until cancelled."""
    while True:
        known_voices = await services.voices.wait_for_change(known_voices)
        send(_with_voices(services, known_voices))


def _with_voices(services: Services, voices: tuple[VoiceChoice, ...]) -> Choices:
    personas = tuple(_persona_choice(services, persona) for persona in services.personas.values())
    known = services.sample_questions()
    questions = tuple(SampleQuestions(language, known[language]) for language in LANGUAGES if language in known)
    return Choices(LANGUAGE_CHOICES, voices, personas, questions)


def _persona_choice(services: Services, persona: Persona) -> PersonaChoice:
    voices = {
        language: services.voice_of(persona, language)
        for language in LANGUAGES
        if services.default_voice or language in persona.voices
    }
    of_languages = tuple(LanguageVoice(language, voice) for language, voice in voices.items() if voice)
    return PersonaChoice(persona.id, persona.name, persona.description, of_languages)


def transcript_message(action: AnnouncePartial | AnnounceFinal | AnnounceWait, *, word_times: bool) -> ServerMessage:
    """The message of a transcript or of a wait; final transcripts have word times only with `word_times`."""
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
                action.language_probability,
            )
        case AnnounceWait():
            prediction = action.prediction
            return TurnEndPredicted(
                at_ms=action.at_ms,
                probability=prediction.probability if prediction else None,
                predictor=prediction.predictor if prediction else "",
                wait_ms=action.wait.ms,
                patience=action.patience,
                decided_by=action.wait.decided_by,
                opinions=prediction.opinions if prediction else (),
                silence_ms=prediction.silence_ms if prediction else 0,
            )
