"""The checker finds each kind of violation, and accepts what is explained."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from faulty_mesh import StoredTurn
from invariants import Notes, longest_silence_s, violations
from listener import Span
from trial_table import trial_row

OWED = Span(10.0, 20.0)
GOOD = Notes(
    began_s=10.0,
    ended_s=12.0,
    owed=[OWED],
    audible=[Span(11.0, 19.0)],
    committed={1: "how is the bridge"},
    heard={1: "It is open."},
    stored=[StoredTurn(1, "user", "how is the bridge"), StoredTurn(1, "anchor", "It is open.")],
    said={"how is the bridge": (1, 1)},
    recovered_s=15.0,
)


def kinds(notes: Notes) -> set[str]:
    return {line[:2] for line in violations(notes)}


def test_a_good_trial_violates_nothing() -> None:
    assert violations(GOOD) == []
    assert trial_row("none", "idle", GOOD, []) == "| none | idle | – | 1.0 | 5.0 | ok |"


@pytest.mark.parametrize("audible", [[], [Span(13.5, 20.0)], [Span(10.0, 12.0), Span(15.5, 20.0)], [Span(10.0, 16.5)]])
def test_silence_without_an_explanation_violates_i1(audible: list[Span]) -> None:
    assert kinds(replace(GOOD, audible=audible)) == {"I1"}


def test_an_explanation_ends_a_silence_and_comes_in_time() -> None:
    silent = replace(GOOD, audible=[Span(18.0, 20.0)])
    assert kinds(replace(silent, explained=[Span(12.0, 18.0)])) == set()
    assert kinds(replace(silent, explained=[Span(9.0, math.inf)])) == set()
    assert kinds(replace(silent, explained=[Span(14.0, 18.0)])) == {"I1"}
    assert kinds(replace(silent, explained=[Span(11.0, 13.0)])) == {"I1"}
    assert longest_silence_s(replace(silent, explained=[Span(12.0, 18.0)]), explained=False) == pytest.approx(8.0)


@pytest.mark.parametrize(
    "stored",
    [
        [],
        [GOOD.stored[0]],
        [GOOD.stored[1]],
        [*GOOD.stored, GOOD.stored[0]],
        [*GOOD.stored, GOOD.stored[1]],
        [*GOOD.stored, StoredTurn(2, "user", "how is the bridge")],
        [StoredTurn(1, "user", "how is the"), GOOD.stored[1]],
        [GOOD.stored[0], StoredTurn(1, "anchor", "It is open. Indeed.")],
    ],
    ids=["nothing", "no reply", "no question", "asked twice", "heard twice", "two turns", "other words", "more words"],
)
def test_what_is_not_stored_exactly_once_violates_i2(stored: list[StoredTurn]) -> None:
    assert kinds(replace(GOOD, stored=stored)) == {"I2"}


def test_words_of_a_reply_that_was_cut_off_are_stored() -> None:
    cut = replace(GOOD, heard={}, cut_off={1: "It is"})
    assert kinds(cut) == set()
    assert kinds(replace(cut, cut_off={1: "It was"})) == {"I2"}
    assert kinds(replace(cut, stored=GOOD.stored[:1])) == {"I2"}


def test_audio_of_a_cancelled_reply_violates_i3() -> None:
    assert kinds(replace(GOOD, cancelled_frames=1)) == {"I3"}


@pytest.mark.parametrize("recovered_s", [None, 73.0])
def test_no_recovery_violates_i4(recovered_s: float | None) -> None:
    assert kinds(replace(GOOD, recovered_s=recovered_s)) == {"I4"}
