"""The messages that a language model receives."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from orchestrator.conversation.messages.server import Style
from orchestrator.conversation.model.ports import Message, Persona, Prompt
from orchestrator.llm.context import (
    chat_messages,
    estimated_tokens,
    manner_text,
    prefix_messages,
    recent_history,
    system_text,
)
from service_kit.errors import InvalidRequest

NADIA = Persona(id="nadia", name="Nadia", instructions="You are Nadia, a news anchor.\n")


def exchanges(count: int, words: int = 40) -> tuple[Message, ...]:
    """Return a history of `count` questions, each with an answer."""
    return tuple(
        message
        for number in range(count)
        for message in (Message("user", f"question {number}"), Message("anchor", f"answer {number} " + "word " * words))
    )


def test_messages_have_the_roles_of_the_chat_api():
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
def test_system_text_names_the_language(language: str, words: str):
    assert words in system_text(Prompt(text="", language=language, persona=NADIA))


def test_prompt_after_an_interruption_says_where_it_was():
    history = (Message("user", "One"), Message("anchor", "First of", interrupted=True))
    *past, new = chat_messages(Prompt(text="Two", language="en", persona=NADIA, history=history), 8192)
    assert past[-1] == {"role": "assistant", "content": "First of"}
    assert new["content"] == '(You were interrupted: the user heard your last reply only as far as "First of".)\n\nTwo'


def test_interruption_note_quotes_the_last_words():
    history = (Message("anchor", "one two three four five six seven eight nine", interrupted=True),)
    new = chat_messages(Prompt(text="Two", language="en", persona=NADIA, history=history), 8192)[-1]
    assert '"… two three four five six seven eight nine"' in new["content"]


def test_later_prompts_contain_only_the_heard_text():
    history = (
        Message("user", "One"),
        Message("anchor", "First of", interrupted=True),
        Message("user", "Two"),
        Message("anchor", "Secondly, done."),
    )
    messages = chat_messages(Prompt(text="Three", language="en", persona=NADIA, history=history), 8192)
    assert [message["content"] for message in messages[1:]] == ["One", "First of", "Two", "Secondly, done.", "Three"]


@pytest.mark.parametrize("words", [0, 1, 100, 400])
@pytest.mark.parametrize("interrupted", [False, True])
def test_prefix_messages_are_a_prefix_of_every_prompt(words: int, interrupted: bool):
    for count in range(0, 60, 3):
        history = (*exchanges(count), Message("anchor", "It", interrupted))
        ahead = prefix_messages(Prompt(text="", language="en", persona=NADIA, history=history), 8192)
        prompt = Prompt(text="word " * words, language="en", persona=NADIA, history=history)
        assert chat_messages(prompt, 8192)[:-1] == ahead


def test_history_starts_at_the_same_message_for_many_turns():
    starts = [len(exchanges(count)) - len(recent_history(exchanges(count), 2000)) for count in range(1, 101)]
    assert starts == sorted(starts)
    cuts = sum(later != earlier for earlier, later in itertools.pairwise(starts))
    assert 4 <= cuts <= 10, f"{cuts} cuts in 100 turns of about 90 tokens"


@given(
    st.lists(st.tuples(st.sampled_from(["user", "anchor"]), st.text(max_size=200)), max_size=60),
    st.integers(min_value=0, max_value=400),
)
def test_recent_history_is_a_fitting_end_of_the_history(said: list[tuple[str, str]], room: int):
    history = [Message("user" if role == "user" else "anchor", text) for role, text in said]
    recent = list(recent_history(history, room))
    assert recent == history[len(history) - len(recent) :]
    assert sum(estimated_tokens(message.text) for message in recent) <= room
    if len(recent) < len(history):
        assert not recent or recent[0].role == "user"


def test_text_longer_than_the_context_is_refused():
    with pytest.raises(InvalidRequest, match="text_too_long"):
        chat_messages(Prompt(text="word " * 2000, language="en", persona=NADIA), 1024)


@pytest.mark.parametrize(
    ("style", "sentence"),
    [
        (Style(), ""),
        (Style(pace=2.0), ""),
        (Style(warmth=0.5, humour=0.6, energy=0.4), ""),
        (Style(warmth=0.8), " Your manner now: warm and friendly."),
        (Style(warmth=0.0, energy=0.2), " Your manner now: very matter-of-fact and reserved; calm and unhurried."),
        (Style(humour=1.0), " Your manner now: very light-hearted, with a touch of wit."),
    ],
)
def test_style_is_described_in_words(style: Style, sentence: str):
    assert manner_text(style) == sentence
    assert system_text(Prompt(text="", language="en", persona=NADIA, style=style)).endswith("no emoji." + sentence)
