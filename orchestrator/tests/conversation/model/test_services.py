from __future__ import annotations

import pytest
from orchestrator.conversation.model.services import is_listed


@pytest.mark.parametrize(
    ("voice", "voices"),
    [
        ("en-us", ("en-us", "de")),
        ("higgs:anna", ("higgs:anna", "espeak:en-us")),
        # Chosen when one engine spoke, and when several did.
        ("en-us", ("higgs:anna", "espeak:en-us")),
        ("espeak:en-us", ("en-us", "de")),
    ],
)
def test_a_voice_is_known_with_its_engine_and_without(voice: str, voices: tuple[str, ...]) -> None:
    assert is_listed(voice, voices)


@pytest.mark.parametrize("voice", ["anna", "us", "higgs:en-us", "higgs:", ":"])
def test_other_names_are_not(voice: str) -> None:
    assert not is_listed(voice, ("espeak:en-us", "higgs:hanna"))
