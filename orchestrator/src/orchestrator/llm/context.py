"""What a language model is shown of a conversation: the same beginning every time, and seldom cut.

A model server keeps the work done on a prompt and repeats only what follows the longest common beginning. So the
system text never varies within a session, history is only appended to, and when it grows too long, much is dropped
at once instead of a little at every turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypedDict

from service_kit.errors import InvalidRequest

from orchestrator.conversation.ports import Message, Prompt

# Share of the context that the conversation may fill before its older half is dropped; the rest is for the reply.
FULL_SHARE = 0.75
# Bytes of UTF-8 a token stands for. English has four to five, German three to four, Devanagari about six; three
# errs on the side of trimming early.
_BYTES_PER_TOKEN = 3
# What a chat template adds around a message, in tokens.
_TOKENS_PER_MESSAGE = 6
# Tells the model that it was interrupted. Only the latest interruption carries it: a mark in every one is imitated.
CUT_OFF = " [cut off here]"

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
    system = system_text(prompt)
    room = int(context_tokens * FULL_SHARE) - estimated_tokens(system) - estimated_tokens(prompt.text)
    if room < 0:
        raise InvalidRequest("llm.text_too_long", f"the text is longer than {context_tokens} tokens allow")
    recent = recent_history(prompt.history, room)
    cut_off = max((index for index, message in enumerate(recent) if message.interrupted), default=None)
    return [
        ChatMessage(role="system", content=system),
        *(_chat_message(message, marked=index == cut_off) for index, message in enumerate(recent)),
        ChatMessage(role="user", content=prompt.text),
    ]


def system_text(prompt: Prompt) -> str:
    """Who the anchor is and how it talks; the same for every reply of a persona in one language."""
    language = _LANGUAGES.get(prompt.language, f"the language with the ISO 639-1 code {prompt.language!r}")
    return (
        f"{prompt.persona.instructions.strip()}\n\n"
        f"Answer in {language}. Your words are spoken aloud: plain sentences, no lists, no markup, no emoji."
    )


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


def _chat_message(message: Message, marked: bool) -> ChatMessage:
    role: Literal["user", "assistant"] = "user" if message.role == "user" else "assistant"
    return ChatMessage(role=role, content=message.text + CUT_OFF if marked else message.text)
