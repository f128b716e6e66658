"""A conversation: history and preferences, which outlive connections and sessions."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace

from orchestrator.conversation.messages.client import (
    SetBargeIn,
    SetLanguage,
    SetPatience,
    SetPersona,
    SetStyle,
    SetVoice,
)
from orchestrator.conversation.messages.server import BargeIn, Style
from orchestrator.conversation.model.history import History
from orchestrator.conversation.model.journal import Journal
from orchestrator.conversation.model.ports import Message
from orchestrator.conversation.model.store import ConversationEntry, StoredConversation, TurnEntry

# The language setting that lets the user's speech decide, and the language of replies before anything was heard where
# the installation has no language of its own: every persona has English phrases.
AUTOMATIC = "auto"
_FIRST_LANGUAGE = "en"
# What clients may send as a voice for the language's default.
DEFAULT_VOICE = "default"
# The range of a user's patience, a factor on the end-of-turn wait: from brisk to patient.
MIN_PATIENCE = 0.5
MAX_PATIENCE = 2.0
# The ranges of what stops a reply: the length of speech over it in milliseconds, and its words.
MIN_BARGE_IN_STOP_MS, MAX_BARGE_IN_STOP_MS = 100, 3_000
MIN_BARGE_IN_WORDS, MAX_BARGE_IN_WORDS = 1, 10
# A client that returns within this time after its turn was cut off gets an answer.
_CUT_OFF_WITHIN_S = 120.0
# The commands that change a user's preferences.
Preference = SetLanguage | SetVoice | SetPersona | SetStyle | SetPatience | SetBargeIn


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
    # What stops a reply; absent fields are the server's defaults. Not stored.
    barge_in: BargeIn = field(default_factory=BargeIn)
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
            case SetBargeIn():
                self.barge_in = BargeIn(choice.stop_ms, choice.min_words)


@dataclass(slots=True)
class Conversation:
    """One conversation, identified by its ticket; at most one session has it open.

    Its turns change by the methods below, which save each change in the journal.
    """

    ticket: str
    preferences: Preferences
    history: History = field(default_factory=History)
    created_unix_s: float = field(default_factory=time.time)
    last_used_s: float = field(default_factory=time.monotonic)
    open: bool = False
    # Whose it is; empty for nobody's.
    person_id: str = ""
    journal: Journal = field(default_factory=Journal)
    # The turn that was cut off when the process that owned the conversation ended.
    cut_off: TurnEntry | None = None

    @property
    def messages(self) -> tuple[Message, ...]:
        """The messages of its history, oldest first."""
        return self.history.messages

    def save_preferences(self) -> None:
        """Save the preferences and all else that is stored beside the turns."""
        mine = self.preferences
        self.journal.save_conversation(
            ConversationEntry(
                created_unix_s=self.created_unix_s,
                language=mine.language,
                voice=mine.voice,
                persona=mine.persona,
                patience=mine.patience,
                heard_language=mine.heard_language,
                first_language=mine.first_language,
                style=mine.style,
                person_id=self.person_id,
            )
        )

    def open_turn(self, turn_id: int) -> None:
        """Words of a user turn were heard; until it is committed, they are lost when the process ends."""
        self.journal.save_turn(turn_id, self.history.of_turn(turn_id))

    def commit_user_turn(self, turn_id: int, text: str) -> None:
        """Append the text of a committed user turn."""
        self.history.add_user_turn(turn_id, text)
        self.save_preferences()
        self.journal.save_turn(turn_id, self.history.of_turn(turn_id))

    def remove_turn(self, turn_id: int) -> None:
        """Remove a turn that the user reopened, or that turned out to be none."""
        self.history.remove_turn(turn_id)
        self.journal.remove_turn(turn_id)

    def replace_turn(self, turn_id: int, by_turn_id: int) -> None:
        """Remove a turn that the user corrects with another one; the store keeps which one that is."""
        self.remove_turn(turn_id)
        self.journal.record_replacement(turn_id, by_turn_id)

    def save_heard_so_far(
        self, turn_id: int, heard: str, heard_ms: int, upcoming: tuple[tuple[int, str], ...] = ()
    ) -> None:
        """Save what was heard of a reply that goes on; `upcoming` as in `TurnEntry`. It enters history at its end."""
        messages = self.history.of_turn(turn_id)
        if heard:
            messages = (*messages, Message("anchor", heard, interrupted=True))
        self.journal.save_turn(turn_id, messages, heard_ms=heard_ms, upcoming=upcoming)

    def finish_reply(self, turn_id: int, heard: str, heard_ms: int, *, interrupted: bool, is_over: bool = True) -> None:
        """Append the heard words of a reply that ended; `is_over` is false when the process ends with it."""
        self.history.add_heard_reply(turn_id, heard, interrupted)
        self.journal.save_turn(turn_id, self.history.of_turn(turn_id), heard_ms=heard_ms, is_over=is_over)

    def close_turn(self, turn: TurnEntry) -> None:
        """Save a cut-off turn as over, with what the client's last report added to it."""
        self.journal.save_turn(turn.turn_id, turn.messages, heard_ms=turn.heard_ms, is_over=True)

    def restore(self, stored: StoredConversation) -> None:
        """Take over the stored turns and preferences.

        `cut_off` becomes the newest turn, if it is not over and the client comes back soon: who returns the next day
        does not wait for an answer.
        """
        entry = stored.entry
        self.created_unix_s, self.person_id = entry.created_unix_s, entry.person_id
        self.preferences = Preferences(
            language=entry.language,
            voice=entry.voice,
            persona=entry.persona,
            style=entry.style,
            patience=entry.patience,
            heard_language=entry.heard_language,
            first_language=entry.first_language,
        )
        self.history = History()
        for turn in stored.turns:
            self.history.add_turn(turn.turn_id, turn.messages)
        newest = stored.turns[-1] if stored.turns else None
        is_recent = time.time() - stored.used_unix_s < _CUT_OFF_WITHIN_S
        self.cut_off = newest if newest is not None and is_recent and not newest.is_over else None

    def add_played(self, turn_id: int, played_ms: int) -> None:
        """Let the client's last report of the cut-off reply count, which the store may have missed."""
        turn = self.cut_off
        if turn is None or turn.turn_id != turn_id:
            return
        reached = [heard for at_ms, heard in turn.upcoming if at_ms <= played_ms]
        if reached:
            messages = tuple(message for message in turn.messages if message.role == "user")
            heard = Message("anchor", reached[-1], interrupted=True)
            turn = replace(turn, messages=(*messages, heard), heard_ms=played_ms)
            self.history.remove_turn(turn_id)
            self.history.add_turn(turn_id, turn.messages)
            self.cut_off = turn
