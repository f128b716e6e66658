"""What a language model is shown of a conversation: the same beginning every time, and seldom cut.

A model server keeps the work done on a prompt and repeats only what follows the longest common beginning. So the
system text never varies within a session, history is only appended to, and when it grows too long, much is dropped
at once instead of a little at every turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypedDict

from service_kit.errors import InvalidRequest

from orchestrator.conversation.messages.server import Style
from orchestrator.conversation.model.ports import Message, Prompt

# Share of the context that the conversation may fill before its older half is dropped; the rest is for the reply.
FULL_SHARE = 0.75
# Bytes of UTF-8 a token stands for. English has four to five, German three to four, Devanagari about six; three
# errs on the side of trimming early.
_BYTES_PER_TOKEN = 3
# What a chat template adds around a message, in tokens.
_TOKENS_PER_MESSAGE = 6
# Room for the new text that is set aside whatever its length, so that the history is cut alike for all but the longest
# texts: what was read ahead of the text is then what the text follows.
_TEXT_SHARE = 1 / 16
# How much of what was heard tells the model where it was cut off.
_CUT_OFF_WORDS = 8

# How far from the middle a manner counts as wanted, and its two ends.
_DECIDED = 0.15
_MANNERS = {
    "warmth": ("matter-of-fact and reserved", "warm and friendly"),
    "humour": ("earnest, without jokes", "light-hearted, with a touch of wit"),
    "energy": ("calm and unhurried", "lively and brisk"),
}

_LANGUAGES = {
    "de": "German",
    "en": "English",
    "es": "Spanish",
    "fr": "French",
    "hi": "Hindi",
    "it": "Italian",
    "nl": "Dutch",
    "pt": "Portuguese",
}


class ChatMessage(TypedDict):
    """A message as every chat API takes it."""

    role: Literal["system", "user", "assistant"]
    content: str


def chat_messages(prompt: Prompt, context_tokens: int) -> list[ChatMessage]:
    """The conversation for a model with `context_tokens` of context: system text, recent history, the new text.

    Raises `InvalidRequest` when the new text alone does not fit.
    """
    note = cut_off_note(prompt.history)
    text = f"{note}\n\n{prompt.text}" if note else prompt.text
    return [*past_messages(prompt, context_tokens), ChatMessage(role="user", content=text)]


def past_messages(prompt: Prompt, context_tokens: int) -> list[ChatMessage]:
    """What `chat_messages` begins with, before the new text: known while the user still speaks.

    Raises `InvalidRequest` when the new text alone does not fit.
    """
    system = system_text(prompt)
    room = int(context_tokens * FULL_SHARE) - estimated_tokens(system)
    text_tokens = estimated_tokens(prompt.text)
    if text_tokens > room:
        raise InvalidRequest("llm.text_too_long", f"the text is longer than {context_tokens} tokens allow")
    past_room = room - min(room, max(text_tokens, int(context_tokens * _TEXT_SHARE)))
    recent = recent_history(prompt.history, int(past_room * prompt.history_share))
    return [ChatMessage(role="system", content=system), *map(_chat_message, recent)]


def cut_off_note(history: Sequence[Message]) -> str:
    """Tells the model that its last reply was cut off, and where; empty when it was not.

    Only the prompt that follows the interruption carries it, and carries it with the new text: what was said before
    stays word for word what it was, in this prompt and in all later ones.
    """
    if not history or not history[-1].interrupted:
        return ""
    words = history[-1].text.split()
    heard = " ".join(words if len(words) <= _CUT_OFF_WORDS else ["…", *words[-_CUT_OFF_WORDS:]])
    return f'(You were interrupted: the user heard your last reply only as far as "{heard}".)'


def system_text(prompt: Prompt) -> str:
    """Who the anchor is and how it talks; the same for every reply of a persona in one language and manner."""
    language = _LANGUAGES.get(prompt.language, f"the language with the ISO 639-1 code {prompt.language!r}")
    return (
        f"{prompt.persona.instructions.strip()}\n\n"
        f"Answer in {language}. Your words are spoken aloud: plain sentences, no lists, no markup, no emoji."
        f"{manner_text(prompt.style)}"
    )


def manner_text(style: Style) -> str:
    """The wanted manner as a sentence; empty for the persona's own. The pace is the voice's business alone."""
    wanted: list[str] = []
    for name, (low, high) in _MANNERS.items():
        value: float | None = getattr(style, name)
        if value is not None and abs(value - 0.5) >= _DECIDED:
            wanted.append(("very " if abs(value - 0.5) > 0.4 else "") + (high if value > 0.5 else low))
    return f" Your manner now: {'; '.join(wanted)}." if wanted else ""


def recent_history(history: Sequence[Message], room_tokens: int) -> Sequence[Message]:
    """The end of `history` that fits, cut so that the cut stays where it is for many turns.

    The history is gone through as it grew: whenever it outgrew `room_tokens`, its older half was dropped, up to a
    message of the user's. Replaying that for a longer history finds the same cuts again.
    """
    start, used = 0, 0
    for end, message in enumerate(history, start=1):
        used += estimated_tokens(message.text)
        goal = room_tokens if used <= room_tokens else room_tokens // 2
        while start < end and (used > goal or (start > 0 and history[start].role != "user")):
            used -= estimated_tokens(history[start].text)
            start += 1
    return history[start:]


def estimated_tokens(text: str) -> int:
    """About how many tokens a message with this text takes; rather too many than too few."""
    return len(text.encode()) // _BYTES_PER_TOKEN + _TOKENS_PER_MESSAGE


def _chat_message(message: Message) -> ChatMessage:
    return ChatMessage(role="user" if message.role == "user" else "assistant", content=message.text)
