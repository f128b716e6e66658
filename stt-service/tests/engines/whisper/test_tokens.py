"""Whisper's tokens, against the vocabularies of the real models and the package `tokenizers`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from stt_service.engines.whisper.tokens import (
    byte_of_letter,
    cut_after,
    is_special,
    read_vocabulary,
    time_of,
    to_bytes,
    to_text,
)


# Texts and their tokens as `tokenizers.Tokenizer.from_file("whisper-base/tokenizer.json").encode` gives them.
@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        (
            ["ĠW", "ann", "ĠÃ¶", "ff", "net", "Ġdas", "ĠCaf", "Ã©", "Ġam", "ĠGro", "ÃŁen", "ĠPlatz", "?"],
            "Wann öffnet das Café am Großen Platz?",
        ),
        (
            ["ĠÂ¿", "Cu", "Ã¡nt", "o", "Ġcu", "esta", "?", "ĠâĢĶ", "Ġ3", "ĠâĤ¬", ",", "ĠseÃ±or", "."],
            "¿Cuánto cuesta? — 3 €, señor.",
        ),
        (
            ["Ġà¤", "«", "à¥ĩ", "à¤°", "à¥Ģ", "Ġà¤ķ", "à¤", "¬", "Ġà¤", "ľ", "à¤¾", "à¤¤", "à¥Ģ", "Ġà¤¹", "à¥Ī"],
            "फेरी कब जाती है",
        ),
        (
            ["Ġit", "'s", "Ġ10", "Ġo", "'", "clock", ",", "Ġna", "Ã¯", "ve", "ĠðŁĺ", "Ģ"],
            "it's 10 o'clock, naïve 😀",
        ),
    ],
)
def test_tokens_become_the_text_they_were_made_from(tokens: list[str], text: str) -> None:
    assert to_text(tokens) == text
    assert to_text(["<|0.00|>", *tokens, "<|2.40|>", "<|endoftext|>"]) == text


def test_half_a_letter_becomes_a_replacement_character() -> None:
    assert to_text(["Ġà¤"]) == "\ufffd"


def test_a_letter_outside_the_alphabet_is_refused() -> None:
    with pytest.raises(KeyError):
        to_bytes("中")


@pytest.mark.parametrize("name", ["whisper-base", "whisper-tiny.en"])
def test_every_token_of_the_real_vocabularies_can_be_read(name: str, real_models: Path) -> None:
    document = json.loads((real_models / name / "tokenizer.json").read_text("utf-8"))
    special = {entry["content"]: entry["id"] for entry in document["added_tokens"]}
    plain = {token: id_ for token, id_ in document["model"]["vocab"].items() if token not in special}
    assert {to_bytes(token) for token in plain if len(token) == 1} == {bytes([byte]) for byte in range(256)}
    assert len({to_bytes(token) for token in plain}) == len(plain)
    assert all(is_special(token) for token in special)
    # The ids of the converted model are the tokenizer's, and times follow them.
    ids = read_vocabulary(real_models / name)
    assert {token: ids[token] for token in plain | special} == plain | special
    assert ids["<|0.00|>"] == ids["<|notimestamps|>"] + 1
    assert time_of("<|0.00|>") == 0


def test_the_alphabet_writes_each_byte_as_one_printable_letter() -> None:
    alphabet = byte_of_letter()
    assert sorted(alphabet.values()) == list(range(256))
    assert all(letter.isprintable() and not letter.isspace() for letter in alphabet)
    assert (alphabet["Ġ"], alphabet["a"]) == (ord(" "), ord("a"))


@pytest.mark.parametrize(
    ("tokens", "kept"),
    [
        (["<|0.00|>", "Ġyes", "<|1.80|>", "<|1.80|>", "Ġyes"], 2),
        (["<|0.00|>", "Ġyes", "<|1.20|>", "<|1.20|>", "Ġno", "<|2.00|>"], 5),
        # A time before the text, however late, does not end it.
        (["<|1.90|>", "Ġyes"], 2),
        (["Ġyes", "Ġno"], 2),
        ([], 0),
    ],
)
def test_the_text_ends_at_the_first_time_at_the_end(tokens: list[str], kept: int) -> None:
    assert cut_after(tokens, 1.75) == kept


def test_a_vocabulary_is_a_list_of_tokens(tmp_path: Path) -> None:
    (tmp_path / "vocabulary.json").write_text('["!", "a"]')
    assert read_vocabulary(tmp_path) == {"!": 0, "a": 1}
    (tmp_path / "vocabulary.json").write_text('{"a": 1}')
    with pytest.raises(ValueError, match="not a list"):
        read_vocabulary(tmp_path)
    with pytest.raises(FileNotFoundError):
        read_vocabulary(tmp_path / "nothing")
