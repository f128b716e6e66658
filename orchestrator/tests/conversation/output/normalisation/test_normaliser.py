"""The stage as a whole: how a reply is divided into deltas changes nothing, and plain prose does not wait."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from orchestrator.conversation.output.normalisation.normaliser import TextNormaliser

# fmt: off
PIECES = (
    "<think>", "</think>", "<think", "</", "think>", " ", "\n", "word ", "Word. ", "https://", "example.org", "/x?y=1",
    "www.", "w", "h", "*", "**", "2", "3", "5.50", "$", "€", "=", "+", "-", "/", " * ", "`", "```", "[", "]", "(", ")",
    "[a](", "|", "# ", "- ", "<b>", "</b>", "<br>", "<", "&", "&amp;", "\\", "\\(", "\\)", "$$", "😀", "<|channel|>",
    "analysis", "<|message|>", "final", "<|end|>", "<tool_call>", "</tool_call>", "{", "1 234", "million", "USD", "x^2",
    "²", ".", ",", "!", "【", "】", "---", "<!--", "-->", "<pre>", "</pre>", "\u200d", "ß", "क", "[1]", "_", "~", "~~~",
    "<https://", "@", "[TOOL_CALLS]", "assistant", "<a href='", "'>", "i", "\\frac{1}{2}", "~5", "–", " 000", "x",
)
# fmt: on


def normalised(deltas: Iterable[str], language: str = "en") -> str:
    """The text that is left of a reply."""
    normaliser, text = TextNormaliser(language, "Some code."), ""
    for visible in (*map(normaliser.push_text, deltas), normaliser.end_text()):
        text = ("" if visible.withdraws else text) + visible.text
    return text


@settings(max_examples=1500, deadline=None)
@given(
    st.lists(st.sampled_from(PIECES), max_size=14).map("".join),
    st.lists(st.integers(0, 60), max_size=6),
    st.sampled_from(("en", "de", "fr", "hi")),
)
def test_any_split_into_deltas_gives_the_same_text(written: str, cuts: list[int], language: str) -> None:
    places = [0, *sorted(cut for cut in cuts if cut < len(written)), len(written)]
    whole = normalised([written], language)
    assert normalised([written[a:b] for a, b in pairwise(places)], language) == whole
    assert normalised(written, language) == whole


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_taken(written: str) -> None:
    assert normalised(written) == normalised([written])


@pytest.mark.parametrize(
    "prose",
    [
        "It will rain on Sunday, I am afraid. Take a coat with you!",
        "Es regnet am Sonntag, fürchte ich. Nimm einen Mantel mit: Es wird kühl.",
        "रविवार को बारिश होगी। छाता ले जाइए।",
        "Il pleuvra dimanche ; prenez un manteau.",
    ],
)
def test_plain_prose_does_not_wait(prose: str) -> None:
    normaliser, written, spoken = TextNormaliser("en"), "", ""
    words = prose.split(" ")
    for delta in (words[0], *(f" {word}" for word in words[1:])):
        written += delta
        spoken += normaliser.push_text(delta).text
        assert spoken == written


def test_a_change_of_language_keeps_the_gap_and_changes_the_words() -> None:
    normaliser = TextNormaliser("en")
    text = normaliser.push_text("It is $5 ").text
    text += normaliser.change_language("de")
    text += normaliser.push_text("oder 2*3 €").text + normaliser.end_text().text
    assert text == "It is 5 dollars oder 2 mal 3 Euro"


@pytest.mark.parametrize("opening", ["[", "<b ", "$5", "\\", "1 000 ", "<", "!["])
def test_no_input_holds_the_text_back_for_long(opening: str) -> None:
    written, normaliser, held = opening * (10_000 // len(opening)), TextNormaliser("en"), 0
    for start in range(0, len(written), 50):
        held = 0 if normaliser.push_text(written[start : start + 50]).text else held + 50
        assert held <= 600
