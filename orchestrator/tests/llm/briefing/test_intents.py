from datetime import datetime

import pytest
from orchestrator.llm.briefing.calendar import spoken_date, spoken_time
from orchestrator.llm.briefing.intents import Intent, detect_intent


@pytest.mark.parametrize(
    ("language", "text", "intent"),
    [
        ("en", "Good morning!", Intent.GREETING),
        ("en", "hey nora", Intent.GREETING),
        ("en", "Hello, thank you so much", Intent.THANKS),
        ("en", "Bye-bye, Nora.", Intent.GOODBYE),
        ("en", "Nora, what time is it, please?", Intent.TIME),
        ("en", "Can you tell me what time it is?", Intent.TIME),
        ("en", "What's today's date?", Intent.DATE),
        ("en", "So, who are you?", Intent.WHO_ARE_YOU),
        ("en", "What can you tell me about?", Intent.TOPICS),
        ("en", "what's in the news", None),
        ("en", "What is the latest news?", Intent.TOPICS),
        ("en", "Could you repeat that?", Intent.REPEAT),
        ("en", "Thanks, tell me more.", Intent.MORE),
        ("en", "What time is the ferry?", None),
        ("en", "hello what is the weather like", None),
        ("en", "tell me more about the ferry", None),
        ("en", "", None),
        ("es", "¿Qué hora es?", Intent.TIME),
        ("es", "Muchas gracias", Intent.THANKS),
        ("es", "Cuéntame más", Intent.MORE),
        ("fr", "Quelle heure est-il ?", Intent.TIME),
        ("fr", "Bonjour, qui êtes-vous ?", Intent.WHO_ARE_YOU),
        ("fr", "Encore une fois", Intent.REPEAT),
        ("pt", "Que dia é hoje?", Intent.DATE),
        ("pt", "Obrigada!", Intent.THANKS),
        ("hi", "नमस्ते", Intent.GREETING),
        ("hi", "आप कौन हैं?", Intent.WHO_ARE_YOU),
        ("hi", "ख़बरें", Intent.TOPICS),
        ("de", "Wie heißt du?", Intent.WHO_ARE_YOU),
        ("de", "Grüß Gott", Intent.GREETING),
        ("de", "Erzähl mir mehr", Intent.MORE),
        ("nl", "Hoe laat is het?", Intent.TIME),
        ("nl", "Dank je wel", Intent.THANKS),
        ("it", "Che ore sono?", Intent.TIME),
        ("it", "Arrivederci", Intent.GOODBYE),
        ("it", "Ciao, che tempo farà?", None),
        ("xx", "hello", Intent.GREETING),
    ],
)
def test_utterance_has_its_intent(language: str, text: str, intent: Intent | None):
    assert detect_intent(text, language, "Nora") is intent


@pytest.mark.parametrize(
    ("language", "time", "date"),
    [
        ("en", "12:07 AM", "Thursday, January 1st"),
        ("es", "0:07", "jueves, 1 de enero"),
        ("fr", "0:07", "jeudi 1 janvier"),
        ("pt", "0:07", "quinta-feira, 1 de janeiro"),
        ("hi", "0:07", "गुरुवार, 1 जनवरी"),
        ("de", "0 Uhr 7", "Donnerstag, der 1. Januar"),
        ("nl", "0:07", "donderdag 1 januari"),
        ("it", "0:07", "giovedì 1 gennaio"),
        ("xx", "12:07 AM", "Thursday, January 1st"),
    ],
)
def test_times_and_dates_follow_the_language(language: str, time: str, date: str):
    midnight = datetime(2026, 1, 1, 0, 7)
    assert spoken_time(midnight, language) == time
    assert spoken_date(midnight, language) == date


def test_german_full_hour_has_no_minutes():
    assert spoken_time(datetime(2026, 1, 1, 16), "de") == "16 Uhr"


@pytest.mark.parametrize(
    ("day", "said"), [(2, "2nd"), (3, "3rd"), (11, "11th"), (12, "12th"), (13, "13th"), (22, "22nd")]
)
def test_english_days_are_ordinals(day: int, said: str):
    assert spoken_date(datetime(2026, 1, day), "en").endswith(f"January {said}")
