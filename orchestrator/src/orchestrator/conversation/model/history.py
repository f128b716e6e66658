"""The history of a conversation, the only past in the language model's prompt. Only heard words enter history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from orchestrator.conversation.model.ports import Message, SpeechMark

# Speech without marks: a slow reader's time for one character, so that the estimate is too low rather than too high.
_MS_PER_CHARACTER = 75


class History:
    """The messages of one conversation, oldest first; beyond `max_messages`, the oldest are dropped."""

    def __init__(self, max_messages: int = 400) -> None:
        self._max_messages = max_messages
        self._messages: list[tuple[int, Message]] = []

    @property
    def messages(self) -> tuple[Message, ...]:
        """All messages, oldest first."""
        return tuple(message for _, message in self._messages)

    def before(self, turn_id: int) -> tuple[Message, ...]:
        """The messages of all other turns."""
        return tuple(message for at, message in self._messages if at != turn_id)

    def add_user_turn(self, turn_id: int, text: str) -> None:
        """Append the text of a committed user turn."""
        self._append(turn_id, Message("user", text))

    def add_heard_reply(self, turn_id: int, heard: str, interrupted: bool) -> None:
        """Append the heard words of a finished reply; nothing if the user heard none."""
        if heard:
            self._append(turn_id, Message("anchor", heard, interrupted))

    def add_turn(self, turn_id: int, messages: Sequence[Message]) -> None:
        """Append all messages of a turn."""
        for message in messages:
            self._append(turn_id, message)

    def of_turn(self, turn_id: int) -> tuple[Message, ...]:
        """The messages of one turn."""
        return tuple(message for at, message in self._messages if at == turn_id)

    def remove_turn(self, turn_id: int) -> None:
        """Remove a turn that the user reopened."""
        self._messages = [(at, message) for at, message in self._messages if at != turn_id]

    def last_turn_id(self) -> int:
        """The id of the newest turn; 0 for an empty history."""
        return max((at for at, _ in self._messages), default=0)

    def _append(self, turn_id: int, message: Message) -> None:
        self._messages.append((turn_id, message))
        del self._messages[: -self._max_messages]


def heard_text(text: str, marks: Sequence[SpeechMark], heard_ms: int, duration_ms: int | None) -> str:
    """The heard words: the part of `text` spoken in the first `heard_ms` of its speech.

    A marked span counts once it was played completely, that is, when the next one starts: a partly played word was not
    heard. Of a span with several words, the words in the played share of its characters count. `duration_ms` is the
    length of the whole speech, None while unknown. Without marks, the words are estimated by a slow reader's pace.
    """
    if duration_ms is not None and heard_ms >= duration_ms:
        return text.strip()
    if heard_ms <= 0:
        return ""
    if not marks:
        return _leading_words(text, min(1.0, heard_ms / max(1, len(text) * _MS_PER_CHARACTER)))
    end = 0
    for index, mark in enumerate(marks):
        if mark.offset_ms >= heard_ms:
            break
        following = marks[index + 1].offset_ms if index + 1 < len(marks) else duration_ms
        if following is None:
            following = mark.offset_ms + (mark.text_end - mark.text_start) * _MS_PER_CHARACTER
        share = (heard_ms - mark.offset_ms) / max(1, following - mark.offset_ms)
        if share >= 1:
            end = mark.text_end
            continue
        span = text[mark.text_start : mark.text_end]
        if len(span.split()) > 1:
            end = mark.text_start + len(_leading_words(span, share))
        break
    return text[:end].strip()


def _leading_words(text: str, share: float) -> str:
    """The words that lie completely in the first `share` of the characters of `text`."""
    limit = share * len(text)
    end = 0
    position = 0
    for word in text.split():
        position = text.index(word, position) + len(word)
        if position > limit:
            break
        end = position
    return text[:end]


def merge_consecutive(messages: Sequence[Message]) -> tuple[Message, ...]:
    """Join consecutive messages of one role: most chat templates require alternating roles."""
    merged: list[Message] = []
    for message in messages:
        if merged and merged[-1].role == message.role:
            merged[-1] = replace(message, text=f"{merged[-1].text} {message.text}")
        else:
            merged.append(message)
    return tuple(merged)
