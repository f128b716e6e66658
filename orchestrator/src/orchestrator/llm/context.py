"""Builds the messages that a language model receives, with a prefix that stays stable from turn to turn.

Model servers cache the computation of a prompt, and repeat only what follows the longest common prefix. So the system
text never varies within a session, history is only appended to, and history that grows too long is trimmed rarely and
by half, instead of a little at every turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypedDict

from service_kit.errors import InvalidRequest

from orchestrator.conversation.messages.server import Style
from orchestrator.conversation.model.ports import Message, Prompt

# Share of the context that the conversation may fill before its older half is dropped; the remainder is for the reply.
MAX_CONTEXT_SHARE = 0.75
# Bytes of UTF-8 a token stands for. English has four to five, German three to four, Devanagari about six; three
# errs on the side of trimming early.
_BYTES_PER_TOKEN = 3
# Tokens that a chat template adds around a message.
_TOKENS_PER_MESSAGE = 6
# Minimum share of the context reserved for the new text, so that the history is trimmed alike for all but the longest
# texts: a prefilled prompt is then a prefix of the prompt with the text.
_TEXT_SHARE = 1 / 16
# Number of the last heard words that show the model where it was interrupted.
_INTERRUPTION_WORDS = 8

# A style value within this distance from 0.5 adds no instruction; the texts are those of the two extremes.
_NEUTRAL_RANGE = 0.15
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
    """A message in the format of all chat APIs."""

    role: Literal["system", "user", "assistant"]
    content: str


def chat_messages(prompt: Prompt, context_tokens: int) -> list[ChatMessage]:
    """Return the messages for a model with `context_tokens` of context: system text, recent history, the new text.

    Raises `InvalidRequest` when the new text alone does not fit.
    """
    note = interruption_note(prompt.history)
    text = f"{note}\n\n{prompt.text}" if note else prompt.text
    return [*prefix_messages(prompt, context_tokens), ChatMessage(role="user", content=text)]


def prefix_messages(prompt: Prompt, context_tokens: int) -> list[ChatMessage]:
    """Return the messages of `chat_messages` before the new text, which are known while the user still speaks.

    Raises `InvalidRequest` when the new text alone does not fit.
    """
    system = system_text(prompt)
    budget = int(context_tokens * MAX_CONTEXT_SHARE) - estimated_tokens(system)
    text_tokens = estimated_tokens(prompt.text)
    if text_tokens > budget:
        raise InvalidRequest("llm.text_too_long", f"the text is longer than {context_tokens} tokens allow")
    history_budget = budget - min(budget, max(text_tokens, int(context_tokens * _TEXT_SHARE)))
    recent = recent_history(prompt.history, int(history_budget * prompt.history_share))
    return [ChatMessage(role="system", content=system), *map(_chat_message, recent)]


def interruption_note(history: Sequence[Message]) -> str:
    """Return a note that the last reply was interrupted, and where; empty when it was not.

    Only the prompt after the interruption contains the note, together with the new text, so that the earlier messages
    stay identical in this prompt and in all later ones.
    """
    if not history or not history[-1].interrupted:
        return ""
    words = history[-1].text.split()
    heard = " ".join(words if len(words) <= _INTERRUPTION_WORDS else ["…", *words[-_INTERRUPTION_WORDS:]])
    return f'(You were interrupted: the user heard your last reply only as far as "{heard}".)'


def system_text(prompt: Prompt) -> str:
    """Return the system message; identical for every reply of a persona in one language and style."""
    language = _LANGUAGES.get(prompt.language, f"the language with the ISO 639-1 code {prompt.language!r}")
    return (
        f"{prompt.persona.instructions.strip()}\n\n"
        f"Answer in {language}. Your words are spoken aloud: plain sentences, no lists, no markup, no emoji."
        f"{manner_text(prompt.style)}"
    )


def manner_text(style: Style) -> str:
    """Describe a style to the model in one sentence; empty for a neutral one. The pace only concerns the voice."""
    manners: list[str] = []
    for name, (low, high) in _MANNERS.items():
        value: float | None = getattr(style, name)
        if value is not None and abs(value - 0.5) >= _NEUTRAL_RANGE:
            manners.append(("very " if abs(value - 0.5) > 0.4 else "") + (high if value > 0.5 else low))
    return f" Your manner now: {'; '.join(manners)}." if manners else ""


def recent_history(history: Sequence[Message], budget_tokens: int) -> Sequence[Message]:
    """Return the end of `history` that fits `budget_tokens`, trimmed at a point that stays the same for many turns.

    The function replays the history's growth: whenever it exceeds the budget, its older half is dropped, up to a
    message of the user. The replay of a longer history finds the same trim points again.
    """
    start, used = 0, 0
    for end, message in enumerate(history, start=1):
        used += estimated_tokens(message.text)
        goal = budget_tokens if used <= budget_tokens else budget_tokens // 2
        while start < end and (used > goal or (start > 0 and history[start].role != "user")):
            used -= estimated_tokens(history[start].text)
            start += 1
    return history[start:]


def estimated_tokens(text: str) -> int:
    """Estimate the tokens of a message with this text, rather too high than too low."""
    return len(text.encode()) // _BYTES_PER_TOKEN + _TOKENS_PER_MESSAGE


def _chat_message(message: Message) -> ChatMessage:
    return ChatMessage(role="user" if message.role == "user" else "assistant", content=message.text)
