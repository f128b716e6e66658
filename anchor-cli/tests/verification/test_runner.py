"""The runner: order, resuming, failing steps and their cures, and the stable results file."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from anchor_cli.doctor.machine import LocalMachine
from anchor_cli.plan.catalogue import read_catalogue
from anchor_cli.plan.detection import DetectedCard
from anchor_cli.plan.overrides import build_planner
from anchor_cli.settings import MeshSettings
from anchor_cli.verification.catalogue import STEPS
from anchor_cli.verification.outcome import Check, Outcome, Result
from anchor_cli.verification.page import render_page
from anchor_cli.verification.results import ResultsFile, RunRecord, StepRecord
from anchor_cli.verification.runner import Runner, Step, StepName
from anchor_cli.verification.steps.report import verify_report
from anchor_cli.verification.subject import describe_subject, fingerprint
from anchor_cli.verification.workbench import Workbench
from service_kit.errors import PeerFailed

CARD = DetectedCard("NVIDIA RTX 6000 Ada Generation", 49140, 500, 8.9)
GOOD = Outcome((Check("speed", Result.PASS, "10 ms"),), {"speed_ms": 10})
BAD = Outcome((Check("speed", Result.FAIL, "99 ms", "Close other programs."),), {"speed_ms": 99})


class NoEquipment:
    """Equipment that no step of these tests uses."""

    rehearsal = False
    torch_python = ("python3",)


@dataclass
class Script:
    """Steps that return what the test says, and note that they ran."""

    outcomes: dict[StepName, Outcome | Exception]
    ran: list[str] = field(default_factory=list[str])

    def step(self, name: StepName, *needs: StepName) -> Step:
        async def run(bench: Workbench) -> Outcome:
            self.ran.append(name)
            outcome = self.outcomes[name]
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        return Step(name, f"the step {name}", needs, f"Read the log of {name}.", run)

    def steps(self) -> list[Step]:
        return [
            self.step(StepName.MACHINE),
            self.step(StepName.VOICE, StepName.MACHINE),
            self.step(StepName.ROUND_TRIP, StepName.VOICE),
            Step(StepName.REPORT, "the report", (), "Check the folder.", verify_report),
        ]


def bench_in(folder: Path) -> Workbench:
    catalogue = read_catalogue()
    planner, card = build_planner(catalogue, [], None), catalogue.card("rtx6000-ada")
    equipment: Any = NoEquipment()
    return Workbench(
        settings=MeshSettings(root=folder),
        machine=LocalMachine(),
        equipment=equipment,
        card=card,
        driver="580.95",
        planner=planner,
        plan=planner.plan(card),
        subject={"card": {"title": card.title, "memory_mib": card.memory_mib, "compute": 8.9}, "driver": "580.95"},
        sound=folder / "run/verify",
        page=folder / "run/verify-gpu.md",
        offline=True,
        turns_s=0,
        say=lambda line: None,
    )


def run(
    folder: Path, outcomes: Mapping[StepName, Outcome | Exception], mark: str = "a", only: str = ""
) -> tuple[RunRecord, list[str], list[tuple[str, bool]]]:
    """One run: its record, the steps that ran, and the steps that were shown, with whether an earlier run made them."""
    script, shown = Script(dict(outcomes)), list[tuple[str, bool]]()

    def show(record: StepRecord, was_recorded: bool) -> None:
        shown.append((record.step, was_recorded))

    results = ResultsFile(folder / "run/verify-gpu.json")
    runner = Runner(script.steps(), results, {"mark": mark}, mark, show)
    return asyncio.run(runner.run(bench_in(folder), only)), script.ran, shown


ALL_GOOD = {StepName.MACHINE: GOOD, StepName.VOICE: GOOD, StepName.ROUND_TRIP: GOOD}


def test_all_steps_pass(tmp_path: Path) -> None:
    record, ran, _ = run(tmp_path, ALL_GOOD)
    assert record.passed
    assert ran == ["machine", "voice", "round-trip"]


def test_what_passed_is_not_run_again(tmp_path: Path) -> None:
    run(tmp_path, {**ALL_GOOD, StepName.VOICE: BAD})
    record, ran, shown = run(tmp_path, ALL_GOOD)
    assert record.passed
    assert ran == ["voice", "round-trip"]
    assert shown[0] == ("machine", True)


def test_another_card_or_setting_runs_everything_again(tmp_path: Path) -> None:
    run(tmp_path, ALL_GOOD)
    assert run(tmp_path, ALL_GOOD, mark="b")[1] == ["machine", "voice", "round-trip"]


def test_a_failed_step_has_its_cure_and_skips_what_needs_it(tmp_path: Path) -> None:
    record, ran, _ = run(tmp_path, {**ALL_GOOD, StepName.VOICE: BAD})
    assert not record.passed
    assert ran == ["machine", "voice"]
    by_name = {step.step: step for step in record.steps}
    assert (by_name["voice"].verdict, by_name["voice"].cure) == (Result.FAIL, "Close other programs.")
    assert by_name["round-trip"].verdict is Result.SKIP
    assert by_name["round-trip"].checks[0].message == "needs voice"
    page = (tmp_path / "run/verify-gpu.md").read_text("utf-8")
    assert "voice, speed: 99 ms. Close other programs." in page


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (PeerFailed("x.y", "the server ended"), "the server ended"),
        (ExceptionGroup("group", [PeerFailed("x.y", "the server ended")]), "the server ended"),
        (KeyError("size"), "KeyError: 'size'"),
    ],
)
def test_an_error_fails_its_step_and_the_others_still_run(error: Exception, message: str, tmp_path: Path) -> None:
    record, ran, _ = run(tmp_path, {**ALL_GOOD, StepName.ROUND_TRIP: error})
    assert ran == ["machine", "voice", "round-trip"]
    step = next(step for step in record.steps if step.step == "round-trip")
    assert (step.checks[0].message, step.cure) == (message, "Read the log of round-trip.")
    assert record.steps[-1].step == "report"


def test_only_one_step_runs_though_it_passed_and_though_others_are_missing(tmp_path: Path) -> None:
    record, ran, _ = run(tmp_path, ALL_GOOD, only="round-trip")
    assert ran == ["round-trip"]
    assert not record.passed
    assert run(tmp_path, ALL_GOOD, only="round-trip")[1] == ["round-trip"]


def test_the_results_file_keeps_its_schema(tmp_path: Path) -> None:
    run(tmp_path, {**ALL_GOOD, StepName.VOICE: BAD})
    found = json.loads((tmp_path / "run/verify-gpu.json").read_text("utf-8"))
    assert list(found) == [
        *("schema", "rehearsal", "passed", "finished_at", "fingerprint", "subject", "steps", "lock_rows")
    ]
    assert found["schema"] == 1
    step = found["steps"][1]
    assert list(step) == ["step", "title", "verdict", "cure", "seconds", "fingerprint", "checks", "figures"]
    assert step["figures"] == {"speed_ms": 99}
    check = {"name": "speed", "verdict": "FAIL", "message": "99 ms", "cure": "Close other programs."}
    assert step["checks"] == [check]


@pytest.mark.parametrize("content", ["", "{", '{"schema": 1}', "[]"])
def test_a_damaged_results_file_is_replaced(content: str, tmp_path: Path) -> None:
    path = tmp_path / "run/verify-gpu.json"
    path.parent.mkdir()
    path.write_text(content, "utf-8")
    record, ran, _ = run(tmp_path, ALL_GOOD)
    assert record.passed
    assert len(ran) == 3


def test_results_of_another_schema_are_not_resumed(tmp_path: Path) -> None:
    run(tmp_path, ALL_GOOD)
    path = tmp_path / "run/verify-gpu.json"
    path.write_text(path.read_text("utf-8").replace('"schema": 1', '"schema": 2'), "utf-8")
    assert ResultsFile(path).read_steps() == {}


def test_the_fingerprint_follows_card_driver_versions_and_settings(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("a", "utf-8")

    def mark(card: DetectedCard = CARD, driver: str = "580", **settings: str) -> str:
        return fingerprint(describe_subject(tmp_path, card, driver, settings, rehearsal=False))

    first = mark()
    assert mark() == mark(HOME="/elsewhere", LLM_OPENAI_MODEL="other") == first
    others = {mark(DetectedCard("NVIDIA L40S", 46068, 0, 8.9)), mark(driver="590"), mark(TTS_HIGGS_SLOTS="2")}
    (tmp_path / "compose.yaml").write_text("b", "utf-8")
    assert len({first, mark(), *others}) == 5


def test_the_steps_are_nine_and_need_only_earlier_ones() -> None:
    assert [step.name for step in STEPS] == list(StepName)
    for index, step in enumerate(STEPS):
        assert set(step.needs) <= {earlier.name for earlier in STEPS[:index]}
        assert step.cure.endswith(".")


def test_the_page_shows_memory_times_and_word_errors() -> None:
    def record(step: str, **figures: Any) -> StepRecord:
        fields: dict[str, Any] = {"title": "", "verdict": "PASS", "cure": "", "seconds": 1, "fingerprint": ""}
        return StepRecord(step=step, checks=[], figures=figures, **fields)

    row = {"service": "ollama", "planned_bytes": 2**30, "reported_bytes": None, "driver_bytes": 2**31}
    sentence = {"file": "name.wav", "word_error_rate": 0.1, "text": "Hello.", "transcript": "hallo"}
    speed = {"weights": "bf16", "slots": 1, "first_audio_ms": 200, "realtime_factor": 0.3, "step_ms": 9, "floor_ms": 6}
    steps = [
        record("voice", speed=[speed]),
        record("language-model", tokens_per_s=40.0, first_token_s=0.2),
        record("recognition", final_s=0.4),
        record("round-trip", sentences=[sentence]),
        record("together", response_ms=1500, budget_ms=2000, stages_ms={"first token": 700}),
        record("memory", rows=[row], free_bytes=2**32),
    ]
    page = render_page({"driver": "580"}, steps, "[[model]]\n", "run/verify", rehearsal=False)
    for line in (
        "| ollama | 1.00 | – | 2.00 | – |",
        "Free on the card: 4.00 GiB.",
        "- response latency 1500 ms, budget 2000 ms",
        "- first token: 700 ms",
        "- final transcript 400 ms",
        "- language model 40.0 tokens/s, first token 0.20 s",
        "| name.wav | 10% | Hello. | hallo |",
        "Please listen to run/verify/*.wav: is it one voice, the same in all?",
    ):
        assert line in page
