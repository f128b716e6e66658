"""The measurement of the recognisers: what is printed, and what is not measured."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest
from stt_service.measure import LONG_S, REPETITIONS, SHORT_S, measure_all, measure_engine
from stt_service.settings import SttSettings


def test_the_least_time_of_each_length_counts_after_a_first_clip() -> None:
    asked: list[float] = []

    def time_clip(seconds: float) -> float:
        asked.append(seconds)
        return 9.0 if len(asked) == 1 else seconds / 100 + len(asked) / 1000

    speed = measure_engine(time_clip)
    assert speed == {"first_result_s": 0.032, "real_time_factor": pytest.approx(0.011, abs=0.001)}
    assert asked == [SHORT_S] * (1 + REPETITIONS) + [LONG_S] * REPETITIONS


def test_slow_clips_are_not_repeated() -> None:
    asked: list[float] = []

    def time_clip(seconds: float) -> float:
        asked.append(seconds)
        return seconds / 2

    assert measure_engine(time_clip) == {"first_result_s": 1.5, "real_time_factor": 0.5}
    assert asked == [SHORT_S, SHORT_S, LONG_S]


def test_models_that_are_not_there_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = SttSettings(models_dir=tmp_path, models_lock=Path(__file__).parents[2] / "models.lock")
    assert list(measure_all(settings)) == []
    complaints = capsys.readouterr().err
    assert all(
        f"{name} is not measured" in complaints for name in ("whisper-base", "whisper-tiny.en", "moonshine-tiny-en")
    )


async def test_the_module_prints_the_speeds_after_each_engine(real_models: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "stt_service.measure"),
        env={**os.environ, "ANCHOR_MODELS_DIR": str(real_models)},
        cwd=real_models.parent,
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(300):
        output, _ = await process.communicate()
    printed = [json.loads(line) for line in output.splitlines()]
    assert process.returncode == 0
    assert [len(each) for each in printed] == [0, 1, 2, 3]
    speeds = printed[-1]
    assert set(speeds) == {"whisper-base", "whisper-tiny.en", "moonshine-tiny-en"}
    assert all(speed["first_result_s"] > 0 and speed["real_time_factor"] > 0 for speed in speeds.values())
    # The smaller model is faster, on any machine.
    assert speeds["whisper-tiny.en"]["first_result_s"] < speeds["whisper-base"]["first_result_s"]
