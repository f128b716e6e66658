"""Credentials and control characters in text from elsewhere."""

from __future__ import annotations

import time

import pytest
from service_kit.errors import MAX_MESSAGE_CHARS, PeerFailed
from service_kit.safe_text import escape_control, escape_control_in_lines, hide_credentials


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("no server at http://me:hush@gpu:11434/api", "no server at http://***@gpu:11434/api"),
        ("postgresql+asyncpg://me:hush%2F@db/anchor", "postgresql+asyncpg://***@db/anchor"),
        ("http://hush@a and https://hush:@b", "http://***@a and https://***@b"),
        ("http://me:hu@sh@gpu/", "http://***@gpu/"),
        ("http://gpu:11434/me@home", "http://gpu:11434/me@home"),
        ("http://gpu?to=me@home", "http://gpu?to=me@home"),
        ("write to me@home", "write to me@home"),
        ('"http://gpu", "me@home"', '"http://gpu", "me@home"'),
    ],
)
def test_credentials_of_urls_are_hidden(text: str, shown: str) -> None:
    assert hide_credentials(text) == shown


def test_hiding_takes_time_in_proportion_to_the_text() -> None:
    began_s = time.process_time()
    for text in ("://" * 300_000 + "@", "a" * 900_000 + "@", "://" + "a@" * 400_000):
        hide_credentials(text)
    assert time.process_time() - began_s < 2


def test_an_error_never_carries_credentials() -> None:
    error = PeerFailed("llm.unreachable", "no model server at http://me:hush@gpu:11434/api")
    assert (error.message, str(error)) == (
        "no model server at http://***@gpu:11434/api",
        "llm.unreachable: no model server at http://***@gpu:11434/api",
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, \u00e4 \u4e2d \U0001f600", "plain, \u00e4 \u4e2d \U0001f600"),
        ("a\nb\r\tc", "a\\nb\\r\\tc"),
        ("\x1b[31m\x9b2J\x7f", "\\x1b[31m\\x9b2J\\x7f"),
        ("a\u2028b\u202ec", "a\\u2028b\\u202ec"),
        ("\ud800", "\\ud800"),
    ],
)
def test_control_characters_are_escaped(text: str, shown: str) -> None:
    assert escape_control(text) == shown


def test_an_error_never_carries_control_characters() -> None:
    error = PeerFailed("llm.failed", "one\nit says \x1b[31m\u202e\ud800")
    assert error.message == "one\nit says \\x1b[31m\\u202e\\ud800"
    assert escape_control_in_lines("plain") == "plain"


def test_an_error_quotes_a_bounded_part_of_what_was_sent() -> None:
    error = PeerFailed("llm.failed", "x" * 9_000)
    assert (len(error.message), error.message[-2:]) == (MAX_MESSAGE_CHARS, "x…")
