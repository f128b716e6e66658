"""JSON and TOML of others."""

from __future__ import annotations

import json
import tomllib

import pytest
from service_kit.parsing.documents import parse_json, parse_toml

DIGITS = "9" * 5_000


def test_well_formed_documents_are_parsed() -> None:
    assert parse_json(b'{"a": [1, "\xc3\xa9"]}') == {"a": [1, "é"]}
    assert parse_toml('a = [1, "é"]') == {"a": [1, "é"]}


@pytest.mark.parametrize("document", ["", "[" * 100_000, DIGITS, b"\xff\xfe\xff", "{", '{"a":' * 100_000])
def test_every_broken_json_document_raises_one_error(document: str | bytes) -> None:
    with pytest.raises(json.JSONDecodeError):
        parse_json(document)


@pytest.mark.parametrize(
    "document", ["a", "a = " + "[" * 100_000, f"a = {DIGITS}", "a = 2024-02-31", "a = " + '{b="' * 50_000]
)
def test_every_broken_toml_document_raises_one_error(document: str) -> None:
    with pytest.raises(tomllib.TOMLDecodeError):
        parse_toml(document)
