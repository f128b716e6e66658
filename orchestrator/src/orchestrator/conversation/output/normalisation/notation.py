"""Sums and money in words: `2*3` is "2 times 3", `$5.50` is "5 dollars 50". Pure.

Digits stay digits: every engine reads numbers in its own language. Signs are what engines read differently, or not at
all.
"""

from __future__ import annotations

import re
from unicodedata import normalize

from orchestrator.conversation.output.normalisation.language_words import LanguageWords
from orchestrator.conversation.output.normalisation.scanner import Scanner, Step

_CURRENCIES = {
    "$": "usd",
    "US$": "usd",
    "USD": "usd",
    "€": "eur",
    "EUR": "eur",
    "£": "gbp",
    "GBP": "gbp",
    "₹": "inr",
    "INR": "inr",
    "¥": "jpy",
    "JPY": "jpy",
    "R$": "brl",
    "BRL": "brl",
    "CHF": "chf",
}
_CURRENCY = "|".join(sorted(map(re.escape, _CURRENCIES), key=len, reverse=True))
_GROUPED = r"\d{1,3}(?:[\u00a0\u202f ]\d{3}(?!\d))+(?:[.,]\d{1,2}(?!\d))?"
_NUMBER = rf"(?:{_GROUPED}|\d+(?:[.,'’]\d+)*)"
_SPACE = "[ \u00a0\u202f]"
_MONEY_FIRST = re.compile(rf"(?P<currency>{_CURRENCY}){_SPACE}?(?P<number>{_NUMBER})")
_NUMBER_FIRST = re.compile(rf"(?P<number>{_NUMBER})")
_PLAIN_NUMBER = re.compile(r"\d+(?:[.,'’]\d+)*")
_CURRENCY_AFTER = re.compile(rf"{_SPACE}?(?P<currency>{_CURRENCY})(?![A-Za-z])")
_UPPER_TO = re.compile(rf"{_SPACE}?[-–]{_SPACE}?(?:{_CURRENCY})?(?P<number>{_NUMBER})")
# More digits than an amount or a factor has are taken as they stand.
_MAX_NUMBER = 40
# Letters, with the vowel signs of Hindi.
_WORD = re.compile(r"(?:[^\W\d_⁰¹²³⁴⁵⁶⁷⁸⁹]|[\u0900-\u0963\u0970-\u097f])+")
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")
_UNIT_LETTERS = frozenset(["m", "km", "cm", "mm", "dm", "ft", "yd", "mi", "in", "ha"])
_OPERAND_AFTER = re.compile(rf"{_SPACE}?(?:[+−-]?(?:\d|[(√]|(?:{_CURRENCY})\d)|[A-Za-zπ](?![^\W_]))")
# An operand that may have begun at the end of the text so far.
_OPEN_OPERAND = re.compile(rf"{_SPACE}?(?:[+−-]?(?:[$€£₹¥]|[A-Z]{{1,3}}|(?:US|R)\$)?|[A-Za-zπ]?)$")
_OPERATORS = frozenset("*×⋅·÷/+-−–=^<>≤≥≠≈±√~²³⁰¹⁴⁵⁶⁷⁸⁹→")


class NotationReader(Scanner):
    """Reads the sums and the money of one reply in one language."""

    def __init__(self, words: LanguageWords) -> None:
        super().__init__()
        self._words = words
        # The source since the last gap of more than a space: what an operator's left side is judged by.
        self._before = ""
        self._in_sum = False

    def _on_scanned(self, source: str) -> None:
        super()._on_scanned(source)
        self._before = (self._before + source)[-40:]

    def _step(self, text: str, at: int, final: bool) -> Step:
        character = text[at]
        if self._is_number_start(text, at):
            return self._number(text, at, final)
        if character.isalpha():
            return self._word(text, at, final)
        if character in "$€£₹¥":
            return self._money_first(text, at, final)
        if character in _OPERATORS:
            return self._operator(text, at, final)
        if character not in " \u00a0\u202f()":
            self._in_sum = False
        return at + 1, character

    def _is_number_start(self, text: str, at: int) -> bool:
        return text[at].isdecimal() and not self._previous.isalnum()

    # Money ----------------------------------------------------------------------------------------------------------

    def _word(self, text: str, at: int, final: bool) -> Step:
        starts_word = not self._previous.isalnum()
        if starts_word and text[at].isupper():
            rest = text[at : at + 5]
            if (
                not final
                and len(rest) <= 4
                and any(code.startswith(rest) or rest.startswith(code) for code in _UPPER_CODES)
            ):
                return None
            if _MONEY_START.match(text, at):
                return self._money_first(text, at, final)
        if text[at] == "x" and self._left_operand() and self._before.rstrip()[-1:].isdigit():
            if not final and len(text) - at < 3:
                return None
            if re.match(rf"x{_SPACE}?\d", text[at : at + 3]):
                return self._sum(at + 1, self._words.times, text)
        word = _WORD.match(text, at)
        end = word.end() if word else at + 1
        if end - at > 1 or not starts_word:
            self._in_sum = False
        return end, text[at:end]

    def _money_first(self, text: str, at: int, final: bool) -> Step:
        money = _MONEY_FIRST.match(text, at)
        if not final and self._is_open(text, at, money.end() if money else len(text)):
            return None
        if money is None:
            return at + 1, text[at]
        return self._amount(text, money.end(), money["number"], _CURRENCIES[money["currency"]], final)

    def _number(self, text: str, at: int, final: bool) -> Step:
        number = _NUMBER_FIRST.match(text, at)
        if number is None:
            return at + 1, text[at]
        if number.end() - at >= _MAX_NUMBER:
            return at + _MAX_NUMBER, text[at : at + _MAX_NUMBER]
        if not final and self._is_open(text, at, number.end()):
            return None
        magnitude = self._magnitude(text, number.end(), final)
        if magnitude is None:
            return None
        end, word = magnitude
        if not final and len(text) - end < 6 and self._may_be_currency(text, end):
            return None
        if currency := _CURRENCY_AFTER.match(text, end):
            spoken = self._spoken_amount(number["number"], _CURRENCIES[currency["currency"]], word)
            return self._with_rate(text, currency.end(), spoken, final)
        # Without a currency, grouped digits may be several numbers.
        plain = _PLAIN_NUMBER.match(text, at)
        end = plain.end() if plain else at + 1
        return end, text[at:end]

    def _is_open(self, text: str, at: int, end: int) -> bool:
        """Whether a number that ends the text so far may go on: `5`, `5.`, `5 000`."""
        rest = text[end:]
        return len(text) - at < _MAX_NUMBER and (
            not rest or re.fullmatch(rf"[.,'’]|{_SPACE}\d{{0,3}}", rest) is not None
        )

    def _may_be_currency(self, text: str, at: int) -> bool:
        rest = text[at:].lstrip(" \u00a0\u202f")
        return not rest or any(name.startswith(rest) or rest.startswith(name) for name in _CURRENCIES)

    def _magnitude(self, text: str, at: int, final: bool) -> tuple[int, str] | None:
        """The end of a magnitude behind an amount, and its word, or `at` and no word; None for an unfinished one."""
        start = at + (text[at : at + 1] in (" ", "\u00a0", "\u202f"))
        if not final and start == len(text):
            return None
        word = _WORD.match(text, start)
        if word is None:
            return at, ""
        options = self._words.magnitude_words
        if not final and word.end() == len(text):
            if any(option.startswith(normalize("NFC", word[0].lower())) for option in options):
                return None
            return (at, "")
        name = normalize("NFC", word[0].lower())
        if name in options:
            abbreviated = name in self._words.spelt_out
            end = word.end() + (abbreviated and text[word.end() : word.end() + 1] == ".")
            return end, self._words.spelt_out.get(name, word[0])
        return at, ""

    def _amount(self, text: str, end: int, number: str, currency: str, final: bool) -> Step:
        """Read an amount whose currency came first."""
        words = self._words
        upper = _UPPER_TO.match(text, end)
        begun = re.fullmatch(rf"{_SPACE}?[-–]?{_SPACE}?(?:{_CURRENCY}|[A-Z$]{{0,3}})?", text[end:])
        is_open = begun or (upper and self._is_open(text, end, upper.end()))
        if is_open and not final and len(text) - end < _MAX_NUMBER:
            return None
        if upper:
            number, end = f"{number} {words.to} {upper['number']}", upper.end()
        magnitude = self._magnitude(text, end, final)
        if magnitude is None:
            return None
        after, word = magnitude
        if (not word and text[end : end + 1] and text[end] in "kKMB") or text[end : end + 2] == "bn":
            suffix = re.compile(r"(?:bn|[kKMB])(?![^\W_])").match(text, end)
            if suffix is None and not final and len(text) - end < 3:
                return None
            if suffix:
                after, word = suffix.end(), words.magnitudes[suffix[0][0].lower()]
        return self._with_rate(text, after, self._spoken_amount(number, currency, word), final)

    def _with_rate(self, text: str, end: int, spoken: str, final: bool) -> Step:
        """Read `/month` behind an amount."""
        if not final and len(text) - end < 2 and text[end:] in ("", "/"):
            return None
        if rate := re.compile(rf"{_SPACE}?/{_SPACE}?(?=[^\W\d_])").match(text, end):
            return rate.end(), f"{spoken} {self._words.per} "
        return end, spoken

    def _spoken_amount(self, number: str, currency: str, magnitude: str) -> str:
        words = self._words
        one, many, exactly_one = words.money[currency]
        if magnitude:
            joint = f" {words.of} " if words.of and magnitude.lower() not in _NO_JOINT else " "
            return f"{number} {magnitude}{joint}{many}"
        whole, cents = _split_amount(number)
        if cents is None or currency not in words.cents:
            return exactly_one if number == "1" else f"{number} {many}"
        count = int(cents.ljust(2, "0"))
        cent_one, cent_many = words.cents[currency]
        unit = cent_one if count == 1 else cent_many
        if not whole.strip("0"):
            return f"{count} {unit}" if count else f"0 {many}"
        spoken_whole = exactly_one if whole == "1" else f"{whole} {many}"
        if not count:
            return spoken_whole
        pattern = words.cents_joined if count >= 10 else words.cents_named
        del one
        return pattern.format(whole=spoken_whole, cents=count, unit=unit)

    # Sums -----------------------------------------------------------------------------------------------------------

    def _left_operand(self) -> str:
        """What stands before an operator: the operand, or nothing."""
        before = self._before.removesuffix(" ")
        found = re.search(r"(?:[\d)%²³π]|(?<![^\W_])[A-Za-z])$", before)
        return found[0] if found else ""

    def _operator(self, text: str, at: int, final: bool) -> Step:
        if not final and (_OPEN_OPERAND.match(text, at + 1) or (text[at] == "*" and _OPEN_OPERAND.match(text, at + 2))):
            return None
        words, character = self._words, text[at]
        left, right = self._left_operand(), _OPERAND_AFTER.match(text, at + 1)
        spaced = self._previous == " " and text[at + 1 : at + 2] == " "
        match character:
            case "*" if text[at : at + 2] == "**" and left and _OPERAND_AFTER.match(text, at + 2):
                return self._sum(at + 2, words.power, text)
            case "*" | "×" | "⋅" | "·" if left and right:
                return self._sum(at + 1, words.times, text)
            case "÷" if left and right:
                return self._sum(at + 1, words.divided_by, text)
            case "+" if left and right:
                return self._sum(at + 1, words.plus, text)
            case "=" if text[at + 1 : at + 2] != "=" and self._previous != "=" and self._is_equation(text, at):
                return self._sum(at + 1, words.equals, text)
            case "/" if left and right and (spaced or self._in_sum):
                return self._sum(at + 1, words.divided_by, text)
            case "/" if left.isdigit() and right:
                return self._unspaced(text, at, final, words.divided_by)
            case "−" if left and right:
                return self._sum(at + 1, words.minus, text)
            case "-" if left and right and (spaced or self._in_sum) and left.isdigit():
                return self._sum(at + 1, words.minus, text)
            case "-" if left.isdigit() and right:
                return self._unspaced(text, at, final, words.minus)
            case "-" | "−" if not self._previous.isalnum() and re.match(r"[$€£₹¥]?\d", text[at + 1 : at + 3]):
                return at + 1, f"{words.minus} "
            case "–" if self._previous.isdigit() and text[at + 1 : at + 2].isdigit():
                return at + 1, f" {words.to} "
            case "^" if left and text[at + 1 : at + 2] not in ("", " "):
                return self._power(text, at + 1, final)
            case "²" | "³" | "⁴" | "⁵" | "⁶" | "⁷" | "⁸" | "⁹" if self._is_raised():
                return self._sum(at + 1, self._power_word(character.translate(_SUPERSCRIPTS)), text)
            case "<" | ">" if left and right and (spaced or left.isdigit()):
                return self._sum(at + 1, words.less if character == "<" else words.greater, text)
            case "≤" | "≥" | "≠" | "≈" if left:
                word = {"≤": words.at_most, "≥": words.at_least, "≠": words.not_equal, "≈": words.nearly}[character]
                return self._sum(at + 1, word, text)
            case "≈" | "~" if right and not left:
                return at + 1, f"{words.about} "
            case "±":
                return self._sum(at + 1, words.plus_minus, text)
            case "√":
                return self._sum(at + 1, words.root, text)
            case "→" if left or spaced:
                return self._sum(at + 1, words.to, text)
            case _:
                self._in_sum = False
                return at + 1, character

    def _is_equation(self, text: str, at: int) -> bool:
        before = self._before.rstrip(" ")[-1:]
        after = text[at + 1 : at + 3].removeprefix(" ")[:1]
        return (
            (before.isalnum() or before in ")%²³")
            and bool(before)
            and (after.isalnum() or after in "(√+-−$€£₹")
            and bool(after)
        )

    def _unspaced(self, text: str, at: int, final: bool, word: str) -> Step:
        """Read `10/2` and `7-5` as a sum only where an equals sign follows; else they may be a date, score or range."""
        following = re.compile(rf"\d{{1,12}}(?:[.,]\d{{1,6}})?{_SPACE}?").match(text, at + 1)
        if following is None:
            return at + 1, text[at]
        if following.end() == len(text) and not final and len(following[0]) < 12:
            return None
        if text[following.end() : following.end() + 1] in ("=", "≈", "*", "×", "+"):
            return self._sum(at + 1, word, text)
        self._in_sum = False
        return at + 1, text[at]

    def _power(self, text: str, at: int, final: bool) -> Step:
        exponent = re.compile(r"[({]?([−-]?\d{1,6}|[A-Za-z])[)}]?").match(text, at)
        if exponent is None:
            return at, " "
        if exponent.end() == len(text) and not final:
            return None
        return self._sum(exponent.end(), self._power_word(exponent[1].replace("−", "-")), text)

    def _power_word(self, exponent: str) -> str:
        words = self._words
        return {"2": words.squared, "3": words.cubed}.get(exponent, f"{words.power} {exponent}")

    def _is_raised(self) -> bool:
        """Whether a raised digit here is a power; in `m²`, it belongs to a unit."""
        unit = re.search(r"[A-Za-z]+$", self._before)
        return (self._previous.isalnum() or self._previous == ")") and (unit is None or unit[0] not in _UNIT_LETTERS)

    def _sum(self, end: int, word: str, text: str) -> Step:
        self._in_sum = True
        before = "" if self._last_output in ("", " ", "(", "\n") else " "
        after = "" if text[end : end + 1] in ("", " ", ")", ".", ",", ";", ":", "?", "!", "\n") else " "
        return end, f"{before}{word}{after}"


# Codes before the amount; not `INR`, for which every "I" would have to wait.
_UPPER_CODES = ("US$", "R$", "USD", "EUR", "GBP", "JPY", "BRL", "CHF")
_MONEY_START = re.compile(rf"(?:{'|'.join(map(re.escape, _UPPER_CODES))}){_SPACE}?\d")
# Magnitudes that need no "of": "5 mil euros".
_NO_JOINT = frozenset({"mil", "mille", "mila", "mil millones"})


def _split_amount(number: str) -> tuple[str, str | None]:
    """Split an amount into whole units and hundredths; None for no hundredths, and for more than two decimals."""
    found = re.fullmatch(r"(.*\d)[.,](\d{1,2})", number)
    if found is None:
        return number, None
    return found[1], found[2]
