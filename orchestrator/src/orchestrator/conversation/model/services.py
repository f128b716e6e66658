"""The services of a session, and validation of the choices among them: languages, voices, personas, styles."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field

from service_kit.errors import InvalidRequest

from orchestrator.conversation.messages.client import (
    SetBargeIn,
    SetLanguage,
    SetPatience,
    SetPersona,
    SetStyle,
    SetVoice,
)
from orchestrator.conversation.messages.server import VoiceChoice
from orchestrator.conversation.messages.system_status import SystemStatus
from orchestrator.conversation.model.conversation import (
    AUTOMATIC,
    MAX_BARGE_IN_STOP_MS,
    MAX_BARGE_IN_WORDS,
    MAX_PATIENCE,
    MIN_BARGE_IN_STOP_MS,
    MIN_BARGE_IN_WORDS,
    MIN_PATIENCE,
    Preference,
    chosen_voice,
)
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

log = logging.getLogger(__name__)

# The languages of the conversation: those that Voxtral transcribes.
LANGUAGES = ("en", "es", "fr", "pt", "hi", "de", "nl", "it")
# What a client may choose: to let the user's speech decide, the default, or one of them.
LANGUAGE_CHOICES = (AUTOMATIC, *LANGUAGES)


def primary_language(tag: str) -> str:
    """The language of a BCP 47 tag or a locale, without script and region: `en` of `en-US` and `EN_us.UTF-8`."""
    return tag.strip().replace("_", "-").partition("-")[0].partition(".")[0].lower()


def chosen_language(tag: str) -> str:
    """The language of a tag that a client sent for one request; empty for `auto` and for none."""
    language = primary_language(tag)
    return "" if language == AUTOMATIC else language


def _no_voices() -> Observable[tuple[VoiceChoice, ...]]:
    return Observable(())


def _no_audio_filter() -> AudioFilter | None:
    return None


def _never() -> bool:
    return False


def _no_questions() -> Mapping[str, tuple[str, ...]]:
    return {}


@dataclass(frozen=True, slots=True)
class Services:
    """The other services and the personas, shared by all sessions."""

    voice_activity: VoiceActivity
    speech_to_text: SpeechToText
    # Called once per session: a model may keep state between replies.
    language_model: Callable[[], LanguageModel]
    text_to_speech: TextToSpeech
    personas: Mapping[str, Persona]
    # Called when a client requests `system_status`.
    system_status: Callable[[], Awaitable[SystemStatus]]
    # TTS failover: these replace `text_to_speech` when it fails, each with its default voice.
    fallback_tts: tuple[TextToSpeech, ...] = ()
    # The available voices; empty while unknown, in which case only tts-service validates them.
    voices: Observable[tuple[VoiceChoice, ...]] = field(default_factory=_no_voices)
    # Speaks where neither the user nor the persona has chosen a voice of the language; empty for the engine's own.
    default_voice: str = ""
    # Called once per session: the filter of its microphone, if any.
    audio_filter: Callable[[], AudioFilter | None] = field(default=_no_audio_filter)
    # Features switched off under memory pressure, and the board that notifies sessions of them.
    degraded_mode: Callable[[], DegradedMode] = field(default=DegradedMode)
    degradation_board: DegradationBoard = field(default_factory=DegradationBoard)
    # Whether work on replies that may not be wanted is left out, because the machine is busy.
    sheds_speculation: Callable[[], bool] = field(default=_never)
    # How long a language model may take to its first token, in seconds.
    first_token_s: float = 8.0
    # Questions to begin with, by language; called when a client is greeted, and when the voices change.
    sample_questions: Callable[[], Mapping[str, tuple[str, ...]]] = field(default=_no_questions)
    # Engines whose chat template opens the reasoning, so that their replies hold only its end; found by such a reply.
    reasoning_engines: set[str] = field(default_factory=set[str])
    # Voices of personas that were found missing, with the language; as many as personas name.
    _missing_voices: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])

    def tts_chain(self, voice: str) -> tuple[tuple[TextToSpeech, ...], str]:
        """The TTS of a reply that starts now and its fallbacks, in order, and the voice for the first of them.

        `voice` is a voice of the main TTS. The chain is empty while replies are captions only.
        """
        degraded = self.degraded_mode()
        if degraded.text_only:
            return (), ""
        if degraded.small_voice:
            return self.fallback_tts, ""
        return (self.text_to_speech, *self.fallback_tts), voice

    def check_preference(self, choice: Preference) -> None:
        """Raise `InvalidRequest` for an unavailable choice."""
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
            case SetBargeIn():
                check_barge_in(choice.stop_ms, choice.min_words)

    def check_language(self, language: str) -> None:
        """Raise `InvalidRequest` for an unsupported language."""
        if language not in LANGUAGE_CHOICES:
            raise InvalidRequest(
                "session.unknown_language", f"no language {language[:16]!r}; there are {', '.join(LANGUAGE_CHOICES)}"
            )

    def can_answer(self, persona: str, language: str) -> bool:
        """Whether a persona has its phrases in a language, and some voice speaks it."""
        voices = self.voices.value
        spoken = not voices or any(language in choice.languages for choice in voices)
        return language in LANGUAGES and language in self.personas[persona].phrases and spoken

    def check_voice(self, voice: str) -> None:
        """Raise `InvalidRequest` for an unknown voice; the empty voice and `default` are the language's default."""
        voices = tuple(choice.id for choice in self.voices.value)
        if chosen_voice(voice) and voices and not is_listed(voice, voices):
            raise InvalidRequest("session.unknown_voice", f"no voice {voice[:64]!r}; there are {', '.join(voices)}")

    def voice_of(self, persona: Persona, language: str) -> str:
        """The voice in which a persona speaks a language; empty for the engine's default."""
        default = self.default_voice if self.speaks(self.default_voice, language) else ""
        return self._listed_voice(persona.voices.get(language) or default, language)

    def _listed_voice(self, voice: str, language: str) -> str:
        """`voice` where it is there and speaks `language`, else the empty voice; each is logged once."""
        listed = not voice or not self.voices.value or is_listed(voice, [choice.id for choice in self.voices.value])
        if listed and self.speaks(voice, language):
            return voice
        if (voice, language) not in self._missing_voices:
            self._missing_voices.add((voice, language))
            log.warning(
                "a voice is missing or does not speak the language; the language's default speaks",
                extra={"voice": voice, "language": language},
            )
        return ""

    def is_available(self, voice: str, language: str) -> bool:
        """Whether a voice may be used for a language: listed and speaking it, or no voice is listed yet."""
        voices = self.voices.value
        return not voices or (is_listed(voice, [choice.id for choice in voices]) and self.speaks(voice, language))

    def speaks(self, voice: str, language: str) -> bool:
        """Whether a voice speaks a language; true for an unlisted voice."""
        listed = [choice for choice in self.voices.value if is_listed(voice, (choice.id,))]
        return not listed or any(language in choice.languages for choice in listed)

    def check_persona(self, persona: str) -> None:
        """Raise `InvalidRequest` for an unknown persona."""
        if persona not in self.personas:
            known = ", ".join(sorted(self.personas))
            raise InvalidRequest("session.unknown_persona", f"no persona {persona[:64]!r}; there are {known}")


def is_listed(voice: str, voices: Collection[str]) -> bool:
    """Whether `voice` is one of `voices`; ids may begin with `<engine>:`, which `voice` or the list may omit."""
    return any(listed == voice or listed.endswith(f":{voice}") or voice.endswith(f":{listed}") for listed in voices)


def check_patience(patience: float) -> None:
    """Raise `InvalidRequest` for a patience outside `MIN_PATIENCE` to `MAX_PATIENCE`."""
    if not MIN_PATIENCE <= patience <= MAX_PATIENCE:
        raise InvalidRequest("session.bad_patience", f"patience must be from {MIN_PATIENCE:g} to {MAX_PATIENCE:g}")


def check_barge_in(stop_ms: int | None, min_words: int | None) -> None:
    """Raise `InvalidRequest` for a length of speech or a number of words out of range; None is the default."""
    for name, value, least, most in (
        ("stop_ms", stop_ms, MIN_BARGE_IN_STOP_MS, MAX_BARGE_IN_STOP_MS),
        ("min_words", min_words, MIN_BARGE_IN_WORDS, MAX_BARGE_IN_WORDS),
    ):
        if value is not None and not least <= value <= most:
            raise InvalidRequest("session.bad_barge_in", f"{name} of barge-in must be from {least} to {most}")


def _check_style(style: SetStyle) -> None:
    if style.pace is not None and not 0.5 <= style.pace <= 2:
        raise InvalidRequest("session.bad_style", "pace must be from 0.5 to 2")
    for name in ("warmth", "humour", "energy"):
        value: float | None = getattr(style, name)
        if value is not None and not 0 <= value <= 1:
            raise InvalidRequest("session.bad_style", f"{name} must be from 0 to 1")
