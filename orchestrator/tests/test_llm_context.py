"""What a language model is shown of a conversation."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from orchestrator.conversation.ports import Message, Persona, Prompt
from orchestrator.llm.context import CUT_OFF, chat_messages, estimated_tokens, recent_history, system_text
from service_kit.errors import InvalidRequest

NADIA = Persona(id="nadia", name="Nadia", instructions="You are Nadia, a news anchor.\n")


def exchanges(count: int, words: int = 40) -> tuple[Message, ...]:
    """A history of `count` questions, each with an answer."""
    return tuple(
        message
        for number in range(count)
        for message in (Message("user", f"question {number}"), Message("anchor", f"answer {number} " + "word " * words))
    )


def test_the_conversation_is_told_in_the_roles_of_the_chat_api():
    history = (Message("user", "Hello"), Message("anchor", "Good evening."))
    prompt = Prompt(text="What is new?", language="en", persona=NADIA, history=history)
    system, *rest = chat_messages(prompt, 8192)
    assert system["role"] == "system"
    assert system["content"].startswith("You are Nadia, a news anchor.\n\nAnswer in English.")
    assert rest == [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Good evening."},
        {"role": "user", "content": "What is new?"},
    ]


@pytest.mark.parametrize(("language", "words"), [("de", "Answer in German."), ("sv", "ISO 639-1 code 'sv'")])
def test_the_system_text_names_the_language(language: str, words: str):
    assert words in system_text(Prompt(text="", language=language, persona=NADIA))


def test_only_the_latest_interruption_is_marked():
    history = (
        Message("user", "One"),
        Message("anchor", "First of", interrupted=True),
        Message("user", "Two"),
        Message("anchor", "Secondly", interrupted=True),
        Message("user", "Three"),
        Message("anchor", "Thirdly, done."),
    )
    messages = chat_messages(Prompt(text="Four", language="en", persona=NADIA, history=history), 8192)
    assert [message["content"] for message in messages if message["role"] == "assistant"] == [
        "First of",
        f"Secondly{CUT_OFF}",
        "Thirdly, done.",
    ]


def test_a_long_conversation_begins_at_the_same_message_for_many_turns():
    starts = [len(exchanges(count)) - len(recent_history(exchanges(count), 2000)) for count in range(1, 101)]
    assert starts == sorted(starts)
    cuts = sum(later != earlier for earlier, later in itertools.pairwise(starts))
    assert 4 <= cuts <= 10, f"{cuts} cuts in 100 turns of about 90 tokens"


@given(
    st.lists(st.tuples(st.sampled_from(["user", "anchor"]), st.text(max_size=200)), max_size=60),
    st.integers(min_value=0, max_value=400),
)
def test_what_is_shown_is_the_end_of_the_history_and_fits(said: list[tuple[str, str]], room: int):
    history = [Message("user" if role == "user" else "anchor", text) for role, text in said]
    recent = list(recent_history(history, room))
    assert recent == history[len(history) - len(recent) :]
    assert sum(estimated_tokens(message.text) for message in recent) <= room
    if len(recent) < len(history):
        assert not recent or recent[0].role == "user"


def test_a_text_longer_than_the_context_is_refused():
    with pytest.raises(InvalidRequest, match="text_too_long"):
        chat_messages(Prompt(text="word " * 2000, language="en", persona=NADIA), 1024)
