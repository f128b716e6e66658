"""API keys: tokens, and the form in which they are stored."""

from __future__ import annotations

import pytest
from service_kit.http.api_keys import Scope, new_api_key, parse_api_key, parse_api_keys, token_digest

DIGEST = token_digest("anchor_x")


def test_a_new_key_stores_the_digest_of_its_token_only() -> None:
    token, key = new_api_key("kitchen", frozenset({Scope.VOICES, Scope.TALK}))
    assert len(token) >= 43
    assert token not in str(key)
    assert str(key) == f"kitchen:talk+voices:{token_digest(token)}"
    assert parse_api_key(str(key)) == key
    assert new_api_key("kitchen", frozenset(Scope))[0] != token


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ("kitchen", "name:scope"),
        (f"kitchen::{DIGEST}", "name:scope"),
        (f"a b:talk:{DIGEST}", "name:scope"),
        (f"{'k' * 41}:talk:{DIGEST}", "name:scope"),
        ("kitchen:talk:anchor_x", "name:scope"),
        (f"kitchen:talk:{DIGEST}\n", "name:scope"),
        (f"kitchen:talk+everything:{DIGEST}", "'everything' is no scope"),
    ],
)
def test_an_invalid_key_is_refused_without_being_quoted(entry: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as refused:
        parse_api_key(entry)
    assert "anchor_x" not in str(refused.value)


def test_names_are_unique() -> None:
    with pytest.raises(ValueError, match="two keys have the name kitchen"):
        parse_api_keys((f"kitchen:talk:{DIGEST}", f"kitchen:voices:{token_digest('y')}"))


def test_a_key_needs_a_scope() -> None:
    with pytest.raises(ValueError, match="name:scope"):
        new_api_key("kitchen", frozenset())


@pytest.mark.parametrize(
    ("limits", "written"),
    [
        ({}, ""),
        ({"max_sessions": 4}, ":sessions=4"),
        ({"per_minute": 60}, ":minute=60"),
        ({"max_sessions": 9_999, "per_minute": 1}, ":sessions=9999:minute=1"),
    ],
)
def test_limits_are_stored_with_the_key(limits: dict[str, int], written: str) -> None:
    _, key = new_api_key("kitchen", frozenset({Scope.TALK}), **limits)
    assert str(key) == f"kitchen:talk:{key.digest}{written}"
    assert parse_api_key(str(key)) == key
    assert {name: getattr(key, name) for name in limits} == limits


@pytest.mark.parametrize("limit", ["sessions=0", "sessions=-1", "minute=10000", "minute=1:sessions=1", "hour=1", ""])
def test_a_limit_that_is_none_is_refused(limit: str) -> None:
    with pytest.raises(ValueError, match="1 to 9999"):
        parse_api_key(f"kitchen:talk:{DIGEST}:{limit}")
