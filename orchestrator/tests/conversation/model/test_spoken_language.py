"""When a detected language becomes that of the conversation."""

from __future__ import annotations

import pytest
from orchestrator.conversation.model.conversation import Preferences
from orchestrator.conversation.model.services import primary_language
from orchestrator.conversation.model.spoken_language import SpokenLanguage

SENTENCE = "four words of speech"


def language_after(*heard: tuple[str, str, float | None], chosen: str = "auto") -> str:
    """The language of the reply after finals of one turn each: text, language, probability."""
    preferences = Preferences(chosen, "", "anchor")
    spoken = SpokenLanguage(preferences, lambda language: language in ("en", "de", "es"))
    for turn_id, (text, language, probability) in enumerate(heard, start=1):
        spoken.on_transcript(turn_id, text, language, probability)
    return preferences.reply_language


@pytest.mark.parametrize(
    ("heard", "language"),
    [
        ([], "en"),
        # Before any language has counted, one word needs certainty, or another turn; a sentence does not.
        ([("okay", "de", 0.6)], "en"),
        ([("okay", "de", None)], "en"),
        ([("ja", "de", 0.8)], "de"),
        ([("ja", "de", 0.6), ("genau", "de", 0.6)], "de"),
        ([(SENTENCE, "de", 0.6)], "de"),
        ([(SENTENCE, "de", None)], "de"),
        ([(SENTENCE, "de", 0.4)], "en"),
        # Afterwards one word changes nothing, however certain it is.
        ([(SENTENCE, "de", 0.9), ("okay", "en", 0.99)], "de"),
        ([(SENTENCE, "en", 0.9), ("ja", "de", 0.99)], "en"),
        ([("", "de", 0.9)], "en"),
        ([(SENTENCE, "fr", 0.99)], "en"),
        ([(SENTENCE, "", None)], "en"),
        ([(SENTENCE, "de", 0.9), (SENTENCE, "es", 0.8)], "es"),
        ([(SENTENCE, "de", 0.9), (SENTENCE, "es", 0.79)], "de"),
        ([(SENTENCE, "de", 0.9), ("two words", "es", 0.99)], "de"),
        ([(SENTENCE, "de", 0.9), ("two words", "es", 0.99), ("two more", "es", 0.6)], "es"),
        ([(SENTENCE, "de", 0.9), ("si", "es", 0.9), (SENTENCE, "de", 0.9), ("si", "es", 0.9)], "de"),
        ([(SENTENCE, "de", 0.9), ("si", "es", 0.9), ("yes", "en", 0.9), ("si", "es", 0.9)], "de"),
        ([(SENTENCE, "de", 0.9), (SENTENCE, "es", None)], "es"),
    ],
)
def test_language_of_the_reply_after_transcripts(heard, language):
    assert language_after(*heard) == language


def test_revised_transcripts_of_one_turn_do_not_count_twice():
    preferences = Preferences("auto", "", "anchor")
    spoken = SpokenLanguage(preferences, lambda language: True)
    spoken.on_transcript(1, SENTENCE, "de", 0.9)
    for text in ("si", "si claro"):
        spoken.on_transcript(2, text, "es", 0.9)
    assert preferences.reply_language == "de"


def test_conversation_begins_in_the_language_of_the_installation():
    preferences = Preferences("auto", "", "anchor", first_language="es")
    spoken = SpokenLanguage(preferences, lambda language: True)
    assert preferences.reply_language == "es"
    spoken.on_transcript(1, SENTENCE, "de", 0.9)
    assert preferences.reply_language == "de"


def test_chosen_language_stays():
    assert language_after((SENTENCE, "de", 0.99), chosen="es") == "es"


@pytest.mark.parametrize(
    ("tag", "language"), [("en", "en"), ("en-US", "en"), ("pt_BR", "pt"), ("DE", "de"), ("auto", "auto"), ("", "")]
)
def test_language_of_a_bcp_47_tag(tag, language):
    assert primary_language(tag) == language
