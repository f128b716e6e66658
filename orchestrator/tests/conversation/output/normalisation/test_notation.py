"""Sums and money in words, in every language that the anchor speaks."""

from __future__ import annotations

import dataclasses

import pytest
from orchestrator.conversation.model.services import LANGUAGES
from orchestrator.conversation.output.normalisation.language_words import words_of
from orchestrator.conversation.output.normalisation.normaliser import normalise_text

SUMS = {
    "en": "2 times 3 is 6, 4 plus 1 equals 5, 7 minus 2 equals 5, 8 divided by 2 equals 4, x squared",
    "de": "2 mal 3 is 6, 4 plus 1 gleich 5, 7 minus 2 gleich 5, 8 geteilt durch 2 gleich 4, x hoch zwei",
    "es": "2 por 3 is 6, 4 más 1 es igual a 5, 7 menos 2 es igual a 5, 8 entre 2 es igual a 4, x al cuadrado",
    "fr": "2 fois 3 is 6, 4 plus 1 égale 5, 7 moins 2 égale 5, 8 divisé par 2 égale 4, x au carré",
    "it": "2 per 3 is 6, 4 più 1 uguale 5, 7 meno 2 uguale 5, 8 diviso 2 uguale 4, x al quadrato",
    "nl": "2 keer 3 is 6, 4 plus 1 is 5, 7 min 2 is 5, 8 gedeeld door 2 is 4, x in het kwadraat",
    "pt": "2 vezes 3 is 6, 4 mais 1 é igual a 5, 7 menos 2 é igual a 5, 8 dividido por 2 é igual a 4, x ao quadrado",
    "hi": "2 गुणा 3 is 6, 4 जमा 1 बराबर 5, 7 घटा 2 बराबर 5, 8 भाग 2 बराबर 4, x का वर्ग",
}
MONEY = {
    "en": ("5 dollars 50", "5 euros 50", "one pound", "50 cents", "5 dollars and 5 cents", "500 rupees"),
    "de": ("5 Dollar 50", "5 Euro 50", "ein Pfund", "50 Cent", "5 Dollar und 5 Cent", "500 Rupien"),
    "es": ("5 dólares con 50", "5 euros con 50", "una libra", "50 centavos", "5 dólares y 5 centavos", "500 rupias"),
    "fr": ("5 dollars 50", "5 euros 50", "une livre", "50 cents", "5 dollars et 5 cents", "500 roupies"),
    "it": ("5 dollari e 50", "5 euro e 50", "una sterlina", "50 centesimi", "5 dollari e 5 centesimi", "500 rupie"),
    "nl": ("5 dollar 50", "5 euro 50", "één pond", "50 cent", "5 dollar en 5 cent", "500 roepies"),
    "pt": ("5 dólares e 50", "5 euros e 50", "uma libra", "50 centavos", "5 dólares e 5 centavos", "500 rupias"),
    "hi": ("5 डॉलर 50 सेंट", "5 यूरो 50 सेंट", "एक पाउंड", "50 सेंट", "5 डॉलर 5 सेंट", "500 रुपये"),
}
MILLIONS = {
    "en": ("$5 million", "5 million dollars"),
    "de": ("5 Mio. €", "5 Millionen Euro"),
    "es": ("5 millones €", "5 millones de euros"),
    "fr": ("5 millions €", "5 millions de euros"),
    "it": ("5 milioni €", "5 milioni di euro"),
    "nl": ("€ 5 mln", "5 miljoen euro"),
    "pt": ("R$ 5 milhões", "5 milhões de reais"),
    "hi": ("₹5 करोड़", "5 करोड़ रुपये"),
}


def test_every_language_has_every_word() -> None:
    assert set(SUMS) == set(MONEY) == set(MILLIONS) == set(LANGUAGES)
    currencies = words_of("en").money.keys()
    for language in LANGUAGES:
        words = words_of(language)
        assert words is not None
        assert words.money.keys() == currencies
        assert words.cents.keys() == currencies - {"jpy"}
        assert all(
            getattr(words, field.name)
            for field in dataclasses.fields(words)
            if field.type == "str" and field.name != "of"
        )
    assert words_of("zh") is None
    assert normalise_text("2*3 = $6", "zh") == "2*3 = $6"


@pytest.mark.parametrize("language", LANGUAGES)
def test_sums_are_read_in_each_language(language: str) -> None:
    assert normalise_text("2*3 is 6, 4 + 1 = 5, 7-2=5, 8 ÷ 2 = 4, x^2", language) == SUMS[language]


@pytest.mark.parametrize("language", LANGUAGES)
def test_money_is_read_in_each_language(language: str) -> None:
    written = ("$5.50", "5,50 €", "£1", "$0.50", "$5.05", "₹500")
    assert tuple(normalise_text(amount, language) for amount in written) == MONEY[language]


@pytest.mark.parametrize("language", LANGUAGES)
def test_large_amounts_are_read_in_each_language(language: str) -> None:
    written, spoken = MILLIONS[language]
    assert normalise_text(written, language) == spoken


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("It costs $1,234.56.", "It costs 1,234 dollars 56."),
        ("€1.5bn, $3k and $2M", "1.5 billion euros, 3 thousand dollars and 2 million dollars"),
        ("$5-10, £3–£4", "5 to 10 dollars, 3 to 4 pounds"),
        ("$5/month", "5 dollars per month"),
        ("USD 20 or 20 EUR or US$7", "20 dollars or 20 euros or 7 dollars"),
        ("5 $, -$5", "5 dollars, minus 5 dollars"),
        ("2.00 € and $ 3", "2 euros and 3 dollars"),
        ("3 × 4, 3x4, 1920x1080, 5·6", "3 times 4, 3 times 4, 1920 times 1080, 5 times 6"),
        ("(2+3)*4=20", "(2 plus 3) times 4 equals 20"),
        ("2**10 and 2^10 and 4²=16", "2 to the power of 10 and 2 to the power of 10 and 4 squared equals 16"),
        ("E = mc²", "E equals mc squared"),
        ("3 < 5, x ≥ 2, a ≠ b", "3 is less than 5, x is at least 2, a is not equal to b"),
        ("-5 °C, ±2, ~10, √9", "minus 5 °C, plus or minus 2, about 10, square root of 9"),
        ("6*4/3", "6 times 4 divided by 3"),
        ("pages 3–4", "pages 3 to 4"),
    ],
)
def test_sums_and_money_in_english(written: str, spoken: str) -> None:
    assert normalise_text(written, "en") == spoken


@pytest.mark.parametrize(
    "written",
    [
        "On 2024-05-03 at 3:30, 1/2 of it, a score of 3-2, call 555-1234.",
        "A4, mp3, C++, A+, R&D, COVID-19, 50 m², 5%, 1,234, 3.14, 1990.",
        "A well-known mother-in-law - that is it.",
        "Use a - b or x. I have 5. Then 6.",
        "5 men and 3 million people in the USA, an EUR fan",
    ],
)
def test_other_numbers_and_signs_are_left_alone(written: str) -> None:
    assert normalise_text(written, "en") == written
