"""The check of the model's sentence against the passage."""

import pytest
from orchestrator.knowledge.passages import Passage
from orchestrator.llm.local.answer_check import (
    best_sentence,
    first_sentence,
    is_supported,
    says_nothing,
    spelled_numbers,
)

FERRY = Passage(
    "ferry",
    "the ferry",
    (
        "The Island Queen leaves every ninety minutes, first at six in the morning.",
        "A ticket costs four crowns, and children under ten travel free.",
        "There is room for twelve cars.",
        "Dogs may not come aboard.",
    ),
)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("A ticket costs four crowns. It leaves at six.", "A ticket costs four crowns."),
        ("  Yes. \n", "Yes."),
        ("It costs 3.50 crowns. And more", "It costs 3.50 crowns."),
        ("A ticket costs", ""),
        ("", ""),
        ("It is it is it is it is it is it is.", ""),
        ("The boat leaves at six the boat leaves at six.", ""),
    ],
)
def test_first_sentence_is_complete_and_does_not_loop(text: str, sentence: str):
    assert first_sentence(text) == sentence


@pytest.mark.parametrize(
    ("sentence", "question"),
    [
        ("A ticket costs four crowns.", "What does it cost?"),
        ("A ticket costs 4 crowns.", "What does it cost?"),
        ("The first ferry leaves at six.", "When does the ferry leave?"),
        ("The Island Queen leaves every ninety minutes.", "How often?"),
        ("No, dogs may not come aboard.", "May I bring a dog?"),
        ("Yes, there is room for twelve cars.", "Is there room for cars?"),
        ("Anna may travel free.", "Does Anna travel free?"),
    ],
)
def test_sentence_of_the_passages_words_is_supported(sentence: str, question: str):
    assert is_supported(sentence, FERRY, question)


@pytest.mark.parametrize(
    ("sentence", "question"),
    [
        ("A ticket costs five crowns.", "What does it cost?"),
        ("A ticket costs 44 crowns.", "What does it cost?"),
        ("It leaves at 123456.", "When?"),
        ("The captain is Harold Finch.", "Who is the captain?"),
        ("No, there is no sauna.", "Is there a sauna on the ferry?"),
        ("Yes, bicycles travel free.", "Are bicycles free?"),
        ("Parking meters accept contactless payment downtown.", "What about parking?"),
    ],
)
def test_number_name_or_claim_of_its_own_is_not_supported(sentence: str, question: str):
    assert not is_supported(sentence, FERRY, question)


def test_sentence_with_the_most_words_of_the_question_is_read():
    assert best_sentence(FERRY, "How many cars have room?") == ("There is room for twelve cars.", True)
    assert best_sentence(FERRY, "Xylophone?") == (FERRY.sentences[0], False)


def test_words_of_the_title_count_last_for_the_sentence():
    passage = Passage("tower", "the lighthouse", ("The lighthouse has a new lamp.", "It has two hundred steps."))
    assert best_sentence(passage, "How many steps does the lighthouse have?") == (passage.sentences[1], True)
    assert best_sentence(passage, "Who built the lighthouse?") == (passage.sentences[0], False)


@pytest.mark.parametrize("sentence", ["The notes do not say.", "The notes do not say who.", "The notes don't say."])
def test_a_refusal_of_the_model_is_recognised(sentence: str):
    assert says_nothing(sentence)
    assert not says_nothing("The ferry leaves at six.")


@pytest.mark.parametrize(
    ("digits", "words"),
    [("0", "zero"), ("8", "eight"), ("35", "thirty five"), ("206", "two hundred six"), ("4000", "four thousand")],
)
def test_numbers_in_digits_are_spelled(digits: str, words: str):
    assert spelled_numbers(f"about {digits} crowns") == f"about {words} crowns"
