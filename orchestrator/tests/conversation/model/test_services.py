"""Matching of voice ids, with and without the engine's name."""

from __future__ import annotations

import pytest
from orchestrator.conversation.model.services import is_listed


@pytest.mark.parametrize(
    ("voice", "voices"),
    [
        ("en-us", ("en-us", "de")),
        ("higgs:anna", ("higgs:anna", "espeak:en-us")),
        # Chosen while one engine ran, and while several did.
        ("en-us", ("higgs:anna", "espeak:en-us")),
        ("espeak:en-us", ("en-us", "de")),
    ],
)
def test_voice_is_listed_with_or_without_its_engine(voice: str, voices: tuple[str, ...]) -> None:
    assert is_listed(voice, voices)


@pytest.mark.parametrize("voice", ["anna", "us", "higgs:en-us", "higgs:", ":"])
def test_other_names_are_not_listed(voice: str) -> None:
    assert not is_listed(voice, ("espeak:en-us", "higgs:hanna"))
