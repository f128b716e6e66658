"""Everything a session works with, and what there is to choose from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field

from service_kit.errors import InvalidRequest

from orchestrator.conversation.messages.client import SetLanguage, SetPatience, SetPersona, SetStyle, SetVoice
from orchestrator.conversation.messages.server import VoiceChoice
from orchestrator.conversation.messages.system_status import SystemStatus
from orchestrator.conversation.model.conversation import LEAST_PATIENCE, MOST_PATIENCE, Preference
from orchestrator.conversation.model.degradation import DegradationBoard, DegradedMode
from orchestrator.conversation.model.observable import Observable
from orchestrator.conversation.model.ports import (
    AudioFilter,
    LanguageModel,
    Persona,
    SpeechToText,
    TextToSpeech,
    VoiceActivity,
)

# The languages of the conversation: what Voxtral hears.
LANGUAGES = ("en", "es", "fr", "pt", "hi", "de", "nl", "it")


def _no_voices() -> Observable[tuple[VoiceChoice, ...]]:
    return Observable(())


def _no_audio_filter() -> AudioFilter | None:
    return None


@dataclass(frozen=True, slots=True)
class Services:
    """The other services and the personas, shared by all sessions."""

    voice_activity: VoiceActivity
    speech_to_text: SpeechToText
    # Called once a session: a model may remember who answered last.
    language_model: Callable[[], LanguageModel]
    text_to_speech: TextToSpeech
    personas: Mapping[str, Persona]
    # Asked when a client wants `system_status`.
    system_status: Callable[[], Awaitable[SystemStatus]]
    # What speaks on, in its own voice, when `text_to_speech` has broken in mid-reply.
    fallback_tts: tuple[TextToSpeech, ...] = ()
    # The voices there are; empty while they are not known, and then the voice service has the last word.
    voices: Observable[tuple[VoiceChoice, ...]] = field(default_factory=_no_voices)
    # Called once a session: what its microphone is heard through, if anything.
    audio_filter: Callable[[], AudioFilter | None] = field(default=_no_audio_filter)
    # What is done without while memory is short, and where sessions are told of it.
    degraded_mode: Callable[[], DegradedMode] = field(default=DegradedMode)
    degradation_board: DegradationBoard = field(default_factory=DegradationBoard)

    def tts_chain(self, voice: str) -> tuple[tuple[TextToSpeech, ...], str]:
        """Who speaks a reply that begins now, in the order in which they are asked, and the first one's voice.

        `voice` is one of the main voice service's.
        """
        savings = self.degraded_mode()
        if savings.text_only:
            return (), ""
        if savings.small_voice:
            return self.fallback_tts, ""
        return (self.text_to_speech, *self.fallback_tts), voice

    def check_preference(self, choice: Preference) -> None:
        """Raise `InvalidRequest` for a choice that there is not."""
        match choice:
            case SetLanguage():
                self.check_language(choice.language)
            case SetVoice():
                self.check_voice(choice.voice)
            case SetPersona():
                self.check_persona(choice.persona)
            case SetStyle():
                _check_style(choice)
            case SetPatience():
                check_patience(choice.patience)

    def check_language(self, language: str) -> None:
        """Raise `InvalidRequest` for a language that is not spoken here."""
        if language not in LANGUAGES:
            raise InvalidRequest(
                "session.unknown_language", f"no language {language[:16]!r}; there are {', '.join(LANGUAGES)}"
            )

    def check_voice(self, voice: str) -> None:
        """Raise `InvalidRequest` for a voice that there is not; the empty voice is the language's own."""
        voices = tuple(choice.id for choice in self.voices.value)
        if voice and voices and not is_listed(voice, voices):
            raise InvalidRequest("session.unknown_voice", f"no voice {voice[:64]!r}; there are {', '.join(voices)}")

    def speaks(self, voice: str, language: str) -> bool:
        """Whether a voice speaks a language, as far as is known."""
        listed = [choice for choice in self.voices.value if is_listed(voice, (choice.id,))]
        return not listed or any(language in choice.languages for choice in listed)

    def check_persona(self, persona: str) -> None:
        """Raise `InvalidRequest` for a persona that there is not."""
        if persona not in self.personas:
            known = ", ".join(sorted(self.personas))
            raise InvalidRequest("session.unknown_persona", f"no persona {persona[:64]!r}; there are {known}")


def is_listed(voice: str, voices: Collection[str]) -> bool:
    """Whether a voice is there. Where several engines speak, ids begin with an engine's name, which may be left out."""
    return any(listed == voice or listed.endswith(f":{voice}") or voice.endswith(f":{listed}") for listed in voices)


def check_patience(patience: float) -> None:
    """Raise `InvalidRequest` for a patience that no wait can be stretched by."""
    if not LEAST_PATIENCE <= patience <= MOST_PATIENCE:
        raise InvalidRequest("session.bad_patience", f"patience must be from {LEAST_PATIENCE:g} to {MOST_PATIENCE:g}")


def _check_style(style: SetStyle) -> None:
    if style.pace is not None and not 0.5 <= style.pace <= 2:
        raise InvalidRequest("session.bad_style", "pace must be from 0.5 to 2")
    for name in ("warmth", "humour", "energy"):
        value: float | None = getattr(style, name)
        if value is not None and not 0 <= value <= 1:
            raise InvalidRequest("session.bad_style", f"{name} must be from 0 to 1")
