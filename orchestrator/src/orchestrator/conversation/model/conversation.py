"""A conversation: history and preferences, which outlive connections and sessions."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace

from orchestrator.conversation.messages.client import SetLanguage, SetPatience, SetPersona, SetStyle, SetVoice
from orchestrator.conversation.messages.server import Style
from orchestrator.conversation.model.history import History
from orchestrator.conversation.model.ports import Message

# The language setting that lets the user's speech decide, and the language of replies before anything was heard where
# the installation has no language of its own: every persona has English phrases.
AUTOMATIC = "auto"
_FIRST_LANGUAGE = "en"
# What clients may send as a voice for the language's default.
DEFAULT_VOICE = "default"
# The range of a user's patience, a factor on the end-of-turn wait: from brisk to patient.
MIN_PATIENCE = 0.5
MAX_PATIENCE = 2.0
# The commands that change a user's preferences.
Preference = SetLanguage | SetVoice | SetPersona | SetStyle | SetPatience


def chosen_voice(name: str) -> str:
    """The voice that a client chose by `name`; empty for the language's default."""
    return "" if name == DEFAULT_VOICE else name


@dataclass(slots=True)
class Preferences:
    """The user's choices. An empty `voice` means the persona's voice, or else the language's default voice."""

    # ISO 639-1, or `AUTOMATIC`.
    language: str
    voice: str
    persona: str
    style: Style = field(default_factory=Style)
    # A factor on the end-of-turn wait, from `MIN_PATIENCE` to `MAX_PATIENCE`.
    patience: float = 1.0
    # The language heard last, while `language` is automatic; empty before.
    heard_language: str = ""
    # ISO 639-1: the language of replies while `language` is automatic and nothing was heard.
    first_language: str = _FIRST_LANGUAGE

    @property
    def reply_language(self) -> str:
        """The language of the next reply."""
        return self.language if self.language != AUTOMATIC else self.heard_language or self.first_language

    @property
    def recognised_language(self) -> str:
        """The language for speech-to-text; empty to detect it."""
        return "" if self.language == AUTOMATIC else self.language

    def set(self, choice: Preference) -> None:
        """Apply a choice that `Services.check_preference` accepted."""
        match choice:
            case SetLanguage():
                self.language = choice.language
            case SetVoice():
                self.voice = chosen_voice(choice.voice)
            case SetPersona():
                self.persona = choice.persona
            case SetStyle():
                values = {name: getattr(choice, name) for name in ("pace", "warmth", "humour", "energy")}
                self.style = replace(self.style, **{name: value for name, value in values.items() if value is not None})
            case SetPatience():
                self.patience = choice.patience


@dataclass(slots=True)
class Conversation:
    """One conversation, identified by its ticket; at most one session has it open."""

    ticket: str
    preferences: Preferences
    history: History = field(default_factory=History)
    created_unix_s: float = field(default_factory=time.time)
    last_used_s: float = field(default_factory=time.monotonic)
    open: bool = False

    @property
    def messages(self) -> tuple[Message, ...]:
        """The messages of its history, oldest first."""
        return self.history.messages
