"""Backchannels and stop words in every language."""

from __future__ import annotations

import pytest
from orchestrator.conversation.echo.transcript_echo import words_of
from orchestrator.conversation.model.services import LANGUAGES
from orchestrator.conversation.turns.backchannels import listener_words

BACKCHANNELS = {
    "en": [
        "mhm",
        "Mmmhm.",
        "uh-huh",
        "Uh huh, yeah",
        "yeah yeah",
        "Yeaaah!",
        "OK.",
        "okay okay okay",
        "I see",
        "go on",
    ],
    "es": ["sí", "SI", "claro", "sí, claro", "Claro que sí.", "ajá", "vale, vale", "de acuerdo", "siií"],
    "fr": ["oui", "oui oui", "d'accord", "D’accord.", "ah bon", "c'est ça", "ouais ouais", "hum", "bien sûr"],
    "de": ["ja", "jaaa", "ja, genau", "ach so", "mhm", "stimmt", "alles klar", "okay, gut", "ÄH"],
    "it": ["sì", "sì sì", "certo", "va bene", "d'accordo", "ho capito", "esatto", "è vero", "mhm"],
    "pt": ["sim", "pois", "pois é", "claro", "tá bom", "está bem", "uhum", "é", "com certeza"],
    "nl": ["ja", "ja ja", "precies", "dat klopt", "oké", "oke", "mhm", "jazeker", "snap ik"],
    "hi": ["हाँ", "हां", "अच्छा", "अच्छा अच्छा", "जी हाँ", "ठीक है।", "हम्म", "haan", "accha", "theek hai"],
}
WORDS = {
    "en": [
        "yeah but",
        "no",
        "stop",
        "wait",
        "okay stop",
        "what about Berlin",
        "yes I want to know more",
        "god",
        "I saw",
    ],
    "es": ["sí pero", "no", "espera", "para", "claro, ¿y mañana?", "vale basta", "señor"],
    "fr": ["oui mais", "non", "attends", "stop", "d'accord, et demain", "arrête"],
    "de": ["ja, aber", "nein", "halt", "warte mal", "genau das nicht", "moment", "januar"],
    "it": ["sì ma", "no", "aspetta", "basta", "va bene, e domani", "fermati"],
    "pt": ["sim mas", "não", "espera", "para", "pois não sei", "chega"],
    "nl": ["ja maar", "nee", "wacht even", "stop", "precies, en morgen", "ho"],
    "hi": ["हाँ लेकिन", "नहीं", "रुको", "एक मिनट", "अच्छा और कल", "nahi", "ruko"],
}
STOPS = {
    "en": ["no", "Noooo", "stop", "please stop", "wait a minute", "hold on", "yeah but"],
    "es": ["espera", "espere un momento", "no", "¡Basta!", "párate"],
    "fr": ["attends", "non non", "arrête", "ça suffit", "chut"],
    "de": ["nein", "stopp", "ja aber", "Moment mal", "hör auf"],
    "it": ["aspetta", "no", "basta", "un attimo", "sì però"],
    "pt": ["não", "espera aí", "pare", "um momento", "chega"],
    "nl": ["nee", "wacht", "hou op", "laat maar", "ja maar"],
    "hi": ["नहीं", "रुको", "बस करो", "एक मिनट", "चुप", "band karo"],
}


def table(lists):
    return [(language, text) for language, texts in lists.items() for text in texts]


@pytest.mark.parametrize(("language", "text"), table(BACKCHANNELS))
def test_backchannel_is_recognised(language, text):
    assert listener_words(language).is_backchannel(words_of(text))


@pytest.mark.parametrize(("language", "text"), table(WORDS))
def test_other_words_are_no_backchannel(language, text):
    assert not listener_words(language).is_backchannel(words_of(text))


@pytest.mark.parametrize(("language", "text"), table(STOPS))
def test_stop_word_is_recognised_anywhere(language, text):
    assert listener_words(language).has_stop(words_of(text))


@pytest.mark.parametrize(("language", "text"), table(BACKCHANNELS))
def test_backchannel_has_no_stop_word(language, text):
    assert not listener_words(language).has_stop(words_of(text))


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_distinct_word_lists(language):
    words = listener_words(language)
    assert min(len(words.hums), len(words.assents), len(words.stops)) >= 15
    assert len(words.hums | words.assents | words.stops) == sum(map(len, (words.hums, words.assents, words.stops)))


@pytest.mark.parametrize(
    ("text", "listening"), [("yes", False), ("yeah okay", False), ("mhm", True), ("mhm yes", False)]
)
def test_assent_after_a_question_is_no_backchannel(text, listening):
    assert listener_words("en").is_backchannel(words_of(text), asked=True) is listening


def test_long_utterance_is_no_backchannel():
    assert not listener_words("en").is_backchannel(words_of("yeah " * 7))


def test_silence_is_no_backchannel():
    assert not listener_words("en").is_backchannel(())


def test_language_without_a_list_has_no_backchannels():
    assert not listener_words("xx").is_backchannel(("mhm",))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("D'accord, SÍ!", ("d", "accord", "si")),
        ("uh-huh", ("uh", "huh")),
        ("Straße_Ä 3,5", ("strasse", "a", "3", "5")),
        ("हाँ, ठीक है।", ("हां", "ठीक", "है")),
        (" … ", ()),
    ],
)
def test_words_ignore_case_accents_and_punctuation(text, words):
    assert words_of(text) == words
