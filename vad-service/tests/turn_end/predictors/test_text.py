"""Turn-end prediction from the transcript alone."""

from __future__ import annotations

import numpy as np
import pytest
from vad_service.turn_end.predictor import PartialTranscript, Pause
from vad_service.turn_end.predictors.text import (
    CueProbabilities,
    TextPredictor,
    completeness,
    normalised_words,
    turn_words,
)

LANGUAGES = ("en", "de", "fr", "es", "it", "pt", "nl", "hi")
CUES = CueProbabilities()


def pause(text: str | None, language: str = "en", *, at_ms: int = 3000, end_ms: int = 3000) -> Pause:
    transcript = None if text is None else PartialTranscript(text, end_ms)
    return Pause(at_ms, 200, np.empty(0, np.float32), transcript, language)


@pytest.fixture
def predictor(settings) -> TextPredictor:
    predictor = TextPredictor(settings)
    predictor.load()
    return predictor


@pytest.mark.parametrize(
    ("language", "text", "cue"),
    [
        # No turn ends so, whatever punctuation a recogniser adds.
        ("en", "what is the weather in the", "hanging"),
        ("en", "I would like to book a flight and.", "hanging"),
        ("en", "I'd like", "hanging"),
        ("de", "wie ist das Wetter im", "hanging"),
        ("de", "Ich möchte einen Flug buchen und", "hanging"),
        ("fr", "je voudrais une chambre avec vue sur la", "hanging"),
        ("fr", "quel est le prix de l'", "hanging"),
        ("es", "quiero un billete para", "hanging"),
        ("it", "vorrei prenotare un tavolo per", "hanging"),
        ("it", "portami all'", "hanging"),
        ("pt", "eu gostaria de", "hanging"),
        ("nl", "ik wil graag een kamer met uitzicht op de", "hanging"),
        ("hi", "मुझे दिल्ली के मौसम के बारे में", "hanging"),
        ("hi", "मैं घर जाना चाहता हूँ लेकिन", "hanging"),
        # Few turns end so, unless there is a full stop.
        ("en", "what is the weather in", "leaning"),
        ("en", "That is the friend I came with.", "sentence"),
        ("de", "das Wetter ist", "leaning"),
        ("fr", "le train est", "leaning"),
        ("es", "el tren es", "leaning"),
        ("it", "il treno è", "leaning"),
        ("pt", "o trem é", "leaning"),
        ("nl", "de trein is", "leaning"),
        ("hi", "मुझे नहीं", "leaning"),
        # Fillers.
        ("en", "I want a flight to um", "filler"),
        ("en", "Um.", "filler"),
        ("en", "it was, you know,", "filler"),
        ("de", "ich suche ähm", "filler"),
        ("fr", "je cherche euh", "filler"),
        ("es", "quiero eh", "filler"),
        ("it", "cerco ehm", "filler"),
        ("pt", "eu quero hum", "filler"),
        ("nl", "ik zoek eh", "filler"),
        ("hi", "मुझे मतलब", "filler"),
        ("es", "necesito este…", "trailing_off"),
        ("en", "so I thought -", "trailing_off"),
        ("en", "On Monday,", "comma"),
        # Dictated digits, until the number may be complete.
        ("en", "my number is zero one seven", "dictating"),
        ("de", "meine Nummer ist null eins sieben", "dictating"),
        ("en", "it is 0171 55 3", "dictating"),
        ("en", "it is 0171 555 3333", None),
        ("en", "set a timer for twenty five", None),
        # Punctuation.
        ("en", "What is the weather in Berlin?", "question"),
        ("en", "What are you waiting for?", "question"),
        ("en", "Turn on the living room lamp.", "sentence"),
        ("en", 'He said "go".', "sentence"),
        ("de", "Wie wird das Wetter morgen?", "question"),
        ("fr", "Allume la lampe du salon.", "sentence"),
        ("es", "¿Qué tiempo hace en Madrid?", "question"),
        ("it", "Accendi la luce!", "sentence"),
        ("pt", "Acende a luz.", "sentence"),
        ("nl", "Doe de lamp aan.", "sentence"),
        ("hi", "वह घर पहुँच।", "sentence"),
        ("zz", "Unknown words.", "sentence"),
        # Complete answers.
        ("en", "yes", "answer"),
        ("en", "um yes", "answer"),
        ("en", "No, thank you.", "answer"),
        ("de", "Danke", "answer"),
        ("fr", "d'accord", "answer"),
        ("es", "Sí", "answer"),
        ("it", "no grazie", "answer"),
        ("pt", "obrigada", "answer"),
        ("nl", "dank je wel", "answer"),
        ("hi", "जी हाँ", "answer"),
        # Closing phrases, though their last word alone would hang.
        ("en", "turn the light on", "closing"),
        ("en", "open the window please", "closing"),
        ("hi", "आज मौसम कैसा है", "closing"),
        # No cue.
        ("en", "turn on the living room lamp", None),
        ("de", "mach das Licht an der Decke heller", None),
        ("zz", "unknown words", None),
        ("", "the", None),
        ("en", "", None),
        ("en", "...", None),
        ("en", "[noise] <cough>", None),
    ],
)
def test_the_end_of_a_transcript_gives_its_cue(language: str, text: str, cue: str | None):
    assert completeness(text, language, CUES) == (None if cue is None else getattr(CUES, cue))


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_lists_every_kind_of_word(language: str):
    known = turn_words()[language]
    assert all([known.hanging, known.leaning, known.fillers, known.answers, known.closing, known.numbers])


@pytest.mark.parametrize("language", LANGUAGES)
def test_entries_are_normalised_and_do_not_contradict_each_other(language: str):
    known = turn_words()[language]
    entries = known.hanging | known.leaning | known.fillers | known.answers | known.closing | known.numbers
    assert {entry for entry in entries if " ".join(normalised_words(entry)) != entry} == set()
    assert known.hanging & (known.leaning | known.fillers | known.closing) == set()
    assert known.fillers & (known.leaning | known.answers | known.closing) == set()


def test_capitals_accents_and_quotes_make_no_difference():
    assert normalised_words("«Où ÊTES-vous, d’accord?»") == ["où", "êtes-vous", "d'accord"]
    # A letter and its accent apart.
    assert normalised_words("Cafe\u0301!") == ["café"]


def test_cues_for_an_open_turn_are_below_one_half_and_others_above():
    assert max(CUES.hanging, CUES.filler, CUES.trailing_off, CUES.comma, CUES.leaning, CUES.dictating) < 0.5
    assert min(CUES.closing, CUES.sentence, CUES.question, CUES.answer) > 0.5


@pytest.mark.parametrize("end_ms", [2760, 3000, 3400])
def test_a_transcript_up_to_the_pause_is_used(predictor, end_ms: int):
    assert predictor.opinion(pause("yes", end_ms=end_ms)).probability == CUES.answer


@pytest.mark.parametrize("undecided", [pause(None), pause("yes", end_ms=2759), pause("turn on the lamp")])
def test_without_a_recent_transcript_or_cue_the_default_applies(predictor, settings, undecided: Pause):
    assert predictor.opinion(undecided) is None
    assert predictor.predict(undecided).probability == settings.pause_probability


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "what is the latest news"),
        ("en", "um is it going to rain tomorrow"),
        ("de", "wie wird das wetter morgen"),
        ("fr", "quel temps fait-il"),
        ("es", "cuánto cuesta el billete"),
        ("it", "dimmi le notizie"),
        ("pt", "onde fica a estação"),
        ("nl", "hoe laat vertrekt de trein"),
        ("hi", "क्या आज बारिश होगी"),
    ],
)
def test_a_question_is_recognised_by_its_opening_words(language: str, text: str):
    assert completeness(text, language, CUES) == CUES.question_opener


@pytest.mark.parametrize(
    "text", ["what is the", "tell me about", "could you please um", "what time", "when i was young", "is", "whatever"]
)
def test_the_opening_words_of_a_question_alone_are_incomplete(text: str):
    assert (completeness(text, "en", CUES) or 0) < 0.5


@pytest.mark.parametrize(
    ("language", "text"), [("es", "sabes qué hora es"), ("it", "sai che ora è"), ("pt", "que horas são")]
)
def test_a_question_for_the_time_is_complete(language: str, text: str):
    assert (completeness(text, language, CUES) or 0) > 0.5


@pytest.mark.parametrize(
    ("language", "text"),
    [("en", "tell me more"), ("de", "erzähl mir mehr"), ("fr", "dis-m'en plus"), ("es", "cuéntame más"),
     ("it", "dimmi di più"), ("pt", "me conta mais"), ("nl", "vertel me meer"), ("hi", "और बताओ")],
)  # fmt: skip
def test_a_request_for_more_is_complete(language: str, text: str):
    assert completeness(text, language, CUES) == CUES.answer
