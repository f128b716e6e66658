"""The names of the languages, in the languages of the personas."""

from pathlib import Path

from orchestrator.knowledge.language_names import language_name
from orchestrator.knowledge.personas import load_personas

PERSONAS = Path(__file__).parents[3] / "content" / "personas"


def test_languages_are_named_in_each_other():
    assert language_name("en", "de") == "Englisch"
    assert language_name("de", "pt") == "alemão"
    assert language_name("hi", "hi") == "हिंदी"


def test_unknown_language_is_named_by_its_code():
    assert language_name("xx", "de") == "xx"
    assert language_name("fr", "xx") == "French"


def test_every_language_of_the_personas_names_all_others():
    languages = load_personas(PERSONAS)["anchor"].phrases
    for spoken in languages:
        assert all(len(language_name(language, spoken)) > 2 or spoken == "hi" for language in languages)
