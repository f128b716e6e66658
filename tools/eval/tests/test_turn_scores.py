"""From events to scores: cut-offs, missed ends, delays, intervals; without a model and without recordings."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from offline_vad import TimedEvent
from orchestrator.conversation.model.ports import SpeechStarted, SpeechStopped, TurnEndPredicted
from orchestrator.conversation.turns.endpointing import Endpointing
from predictor_runs import PredictorRun, Rule, apply_rule, fixed_silence
from recordings import Recording, split_speakers
from replay import Pause, Replay, find_pauses
from scores import Interval, cut_offs_spared, interval, pareto_front, score
from trade_off_chart import render_chart
from trials import Label, TimedWord, Trial
from turn_report import Row, compare, kinds_table, replace_section, rules_table, write_pauses

RECORDING = Recording("en-reader-1", "en", "ten of clubs", "clean", "", b"")
# The edges of one sentence with a pause of 700 ms, received 64 ms or 96 ms late.
EDGES = [
    TimedEvent(564, SpeechStarted(500, 200)),
    TimedEvent(1096, SpeechStopped(1000)),
    TimedEvent(1764, SpeechStarted(1700, 1400)),
    TimedEvent(2496, SpeechStopped(2400)),
]

Outcomes = Callable[..., list[Pause]]


@pytest.fixture
def trial() -> Trial:
    """Three words with a pause of 700 ms after the first."""
    words = (TimedWord("ten", 1000), TimedWord("of", 2000), TimedWord("clubs", 2400))
    return Trial("reader", RECORDING, True, b"", words, Label.HOLD, Label.END)


@pytest.fixture
def outcomes(trial: Trial) -> Outcomes:
    """Applies a rule to the trial, with these predictions in the pause and at the end."""

    def apply(rule: Rule, in_pause: float = 0.5, at_end: float = 0.5, late_ms: int = 0) -> list[Pause]:
        predictions = [
            TimedEvent(1200 + late_ms, TurnEndPredicted(1000, in_pause, "test")),
            TimedEvent(2600 + late_ms, TurnEndPredicted(2400, at_end, "test")),
        ]
        return apply_rule([trial], PredictorRun({trial.name: [*EDGES, *predictions]}, ()), rule)

    return apply


def predicted(**numbers: int | float) -> Rule:
    return Rule("predicted", "test", replace(Endpointing(floor_ms=200, ceiling_ms=2000, steepness=1.0), **numbers))


def test_a_fixed_silence_cuts_off_a_longer_pause(outcomes: Outcomes):
    hold, end = outcomes(fixed_silence(500))
    assert (hold.label, hold.length_ms, hold.committed_ms, hold.is_cut_off) == (Label.HOLD, 700, 500, True)
    assert (end.label, end.length_ms, end.committed_ms, end.is_missed) == (Label.END, None, 500, False)


def test_a_fixed_silence_does_not_cut_off_a_shorter_pause(outcomes: Outcomes):
    hold, end = outcomes(fixed_silence(800))
    assert not hold.is_cut_off
    assert end.committed_ms == 800


def test_a_pause_lasts_until_the_start_of_speech_is_received(outcomes: Outcomes):
    assert outcomes(fixed_silence(750))[0].committed_ms == 750


def test_a_fixed_silence_ignores_predictions(outcomes: Outcomes):
    assert [pause.committed_ms for pause in outcomes(fixed_silence(500), in_pause=0.0, at_end=0.0)] == [500, 500]


def test_a_correct_prediction_avoids_the_cut_off_and_ends_sooner(outcomes: Outcomes):
    hold, end = outcomes(predicted(), in_pause=0.1, at_end=0.9)
    assert not hold.is_cut_off
    assert end.committed_ms == 200 + round(1800 * 0.1)


def test_a_wrong_prediction_cuts_off_and_delays_the_end(outcomes: Outcomes):
    hold, end = outcomes(predicted(ceiling_ms=3000), in_pause=0.9, at_end=0.0, late_ms=0)
    assert hold.is_cut_off
    # The wait is the ceiling, which is just in time.
    assert (end.committed_ms, end.is_missed) == (3000, False)


def test_a_prediction_counts_from_when_it_is_received(outcomes: Outcomes):
    assert outcomes(predicted(floor_ms=100), at_end=1.0, late_ms=300)[1].committed_ms == 500


def test_a_turn_without_commit_is_missed_with_infinite_delay(trial: Trial):
    silent = find_pauses(trial, EDGES, [])
    found = score(silent)
    assert (found.missed, found.ends, found.delay_p50_ms) == (1, 1, float("inf"))


def test_only_the_inserted_pause_of_a_trial_counts(trial: Trial):
    made = replace(trial, inserted_at_ms=1100, last=Label.UNKNOWN)
    assert [pause.label for pause in find_pauses(made, EDGES, [])] == [Label.HOLD, Label.UNKNOWN]
    elsewhere = replace(trial, inserted_at_ms=2000, last=Label.UNKNOWN)
    assert [pause.label for pause in find_pauses(elsewhere, EDGES, [])] == [Label.UNKNOWN, Label.UNKNOWN]


def test_a_final_holds_the_words_since_its_segment_started(trial: Trial):
    assert trial.text_until(2000) == "ten of"
    assert trial.text_until(2400, since_ms=1000) == "of clubs"
    assert Replay(trial, EDGES, fixed_silence(500).endpointing, with_predictions=False).run() == [1500, 2900]


def pause(speaker: str, label: Label, committed_ms: int | None, kind: str = "sentence") -> Pause:
    return Pause("trial", speaker, kind, True, label, 1000, None if label is Label.END else 600, committed_ms)


def test_each_rate_counts_its_own_kind_of_pause():
    found = score(
        [
            pause("a", Label.HOLD, 400),
            pause("a", Label.HOLD, None),
            pause("a", Label.GOES_ON, 400),
            pause("a", Label.UNKNOWN, 400),
            pause("a", Label.END, 300),
            pause("a", Label.END, 3100),
        ]
    )
    assert (found.cut_off_rate, found.interruption_rate) == (0.5, 1.0)
    assert (found.missed, found.ends, found.delay_p50_ms, found.delay_p95_ms) == (1, 2, 3100, 3100)


def test_an_interval_spans_the_speakers_and_is_reproducible():
    alike = [pause(speaker, Label.HOLD, None) for speaker in "abcd"]
    assert interval(alike, lambda found: found.cut_off_rate).high == 0
    different = [pause("a", Label.HOLD, 400), *(pause(speaker, Label.HOLD, None) for speaker in "bcd")]
    wide = interval(different, lambda found: found.cut_off_rate)
    assert wide.low == 0
    assert 0.5 <= wide.high <= 1
    assert wide == interval(different, lambda found: found.cut_off_rate)


def test_speakers_are_split_reproducibly_into_disjoint_halves():
    tuning, held_back = split_speakers(["en-b", "en-a", "en-b", "de-c", "en-d"])
    assert (tuning, held_back) == ({"de-c", "en-b"}, {"en-a", "en-d"})


def test_the_pareto_front_holds_settings_that_no_other_beats():
    def setting(name: str, rate: float, ms: int):
        holds = [pause("a", Label.HOLD, 1 if number < rate * 10 else None) for number in range(10)]
        return name, score([*holds, pause("a", Label.END, ms)])

    kept = pareto_front([setting("slow and bad", 0.5, 900), setting("slow", 0.1, 800), setting("fast", 0.4, 300)])
    assert [name for name, _ in kept] == ["fast", "slow"]


def test_the_target_needs_half_the_cut_offs_at_no_longer_delay():
    def found(cut_offs: int, delay_ms: int) -> list[Pause]:
        holds = [pause("a", Label.HOLD, 1 if number < cut_offs else None) for number in range(10)]
        return [*holds, pause("a", Label.END, delay_ms)]

    assert compare(found(4, 500), found(8, 500)).startswith("met")
    assert compare(found(5, 300), found(8, 500)).startswith("not met")
    assert compare(found(0, 501), found(8, 500)).startswith("not met")
    assert compare(found(4, 500), found(8, 500)).endswith("+40 to +40 in a hundred are spared")


def test_a_gain_shared_by_all_speakers_has_a_narrow_interval():
    def rule(cut_off: dict[str, int]) -> list[Pause]:
        return [
            pause(speaker, Label.HOLD, 400 if number < cut_offs else None)
            for speaker, cut_offs in cut_off.items()
            for number in range(10)
        ]

    ours, theirs = rule({"a": 0, "b": 5}), rule({"a": 5, "b": 10})
    assert interval(ours, lambda found: found.cut_off_rate) == Interval(0.0, 0.5)
    assert cut_offs_spared(ours, theirs) == Interval(0.5, 0.5)


def test_recordings_are_classified_by_their_transcript():
    def reading(transcript: str, kind: str = "clean", notes: str = "") -> Recording:
        return replace(RECORDING, transcript=transcript, table_kind=kind, notes=notes)

    assert reading("<hes-go> on, [laughter] uh mister-x").words == ("on", "uh", "mister-x")
    assert reading("Printing, in the only sense").is_unfinished
    assert not reading("In short, no.").is_unfinished
    assert reading("Mr. Quilter is here.").is_one_sentence
    assert not reading("It is. It was.").is_one_sentence
    kinds = [
        reading("a b", kind="multi-speaker").kind,
        reading("a b", notes="laughter").kind,
        reading("so um yes").kind,
        reading("word word word").kind,
        reading("ten of clubs").kind,
        reading("good day").kind,
        reading("").kind,
    ]
    expected = ["two people", "breath, laughter, whisper", "hesitation", "list", "number", "sentence", "command"]
    assert kinds == expected


def test_tables_list_every_rule_and_kind_with_counts(tmp_path: Path):
    row = Row(
        "fixed, 500 ms",
        tuning=[pause("a", Label.HOLD, None), pause("a", Label.END, 500)],
        held_back=[pause("b", Label.HOLD, 500, "number"), pause("b", Label.END, 500)],
        prediction_ms=[40.0, 60.0],
    )
    assert "| fixed, 500 ms | 1 of 1 (100%) | 100% – 100% | – | 0 of 1 | 500 / 500 |" in rules_table([row])
    assert "| 50 / 59 | 0%, 500 |" in rules_table([row])
    assert kinds_table([row]).splitlines()[2:] == ["| number | 1 | 1 |", "| sentence | 1 | 0 |"]
    write_pauses(tmp_path / "run" / "pauses.csv", [row])
    with (tmp_path / "run" / "pauses.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [(line["half"], line["label"], line["fixed, 500 ms"]) for line in lines] == [
        ("tuning", "hold", ""),
        ("tuning", "end", "500"),
        ("held back", "hold", "500"),
        ("held back", "end", "500"),
    ]


def test_figures_replace_the_section_of_their_name(tmp_path: Path):
    page = tmp_path / "evaluation.md"
    begin, end = "<!-- turns: figures begin -->", "<!-- turns: figures end -->"
    page.write_text(f"before\n{begin}\nold\n{end}\nafter\n", "utf-8")
    replace_section(page, "turns", "new")
    replace_section(page, "turns", "newest")
    assert page.read_text("utf-8") == f"before\n{begin}\n\nnewest\n\n{end}\nafter\n"
    with pytest.raises(ValueError, match="no place"):
        replace_section(page, "barge-in", "new")


def test_the_chart_puts_faster_rules_left_and_safer_ones_down():
    svg = render_chart("title <", {"a": [(300, 0.4), (600, 0.1)], "b & c": [(500, 0.2)]}, (500, 0.25), longest_ms=1000)
    points = [line for line in svg.splitlines() if "<polyline" in line]
    (x1, y1), (x2, y2) = ((float(n) for n in pair.split(",")) for pair in points[0].split('"')[1].split())
    assert x1 < x2
    assert y1 < y2
    assert "title &lt;" in svg
    assert "b &amp; c" in svg
