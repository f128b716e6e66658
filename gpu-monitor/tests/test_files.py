"""The files and settings a person writes: budget, plan, script."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from gpu_monitor.engine import Device, DriverUnavailable
from gpu_monitor.engines.scripted import ScriptedReader
from gpu_monitor.memory.plan import Plan, PlannedMemory, read_plan
from gpu_monitor.settings import GpuSettings
from pydantic import ValidationError

SCRIPT = """[
    "not yet",
    [{"index": 0, "uuid": "GPU-a", "name": "A", "memory_total_bytes": 100, "memory_used_bytes": 40}],
    [{"index": 0, "uuid": "GPU-a", "name": "A", "memory_total_bytes": 100, "memory_used_bytes": 95, "power_watts": 9,
      "processes": [{"pid": 7, "service": "stt-service", "memory_used_bytes": 30}]}]
]"""


def test_the_memory_limit_is_read_in_gibibytes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GPU_MEMORY_LIMIT_GB", "46")
    assert GpuSettings().memory_budget_bytes == 46 * 1024**3


def test_without_a_memory_limit_there_is_no_budget():
    assert GpuSettings().memory_budget_bytes is None


@pytest.mark.parametrize("limit", ["0", "-4", "much"])
def test_a_memory_limit_that_makes_no_sense_is_refused(monkeypatch: pytest.MonkeyPatch, limit: str):
    monkeypatch.setenv("GPU_MEMORY_LIMIT_GB", limit)
    with pytest.raises(ValidationError, match="memory_limit_gb"):
        GpuSettings()


def test_a_plan_is_read_and_adds_up(tmp_path: Path):
    path = tmp_path / "plan.json"
    path.write_text('{"services": [{"service": "stt-service", "model": "m", "weights_bytes": 9, "context_bytes": 1}]}')
    plan = read_plan(path)
    assert plan == Plan((PlannedMemory("stt-service", "m", weights_bytes=9, context_bytes=1),))
    assert plan.services[0].total_bytes == 10


def test_nothing_is_planned_without_a_file(tmp_path: Path):
    assert read_plan(None) == read_plan(tmp_path / "none.json") == Plan()


@pytest.mark.parametrize("text", ["", "[]", '{"services": [{"service": "x", "model": "m", "weights_bytes": -1}]}'])
def test_a_plan_that_does_not_fit_is_refused(tmp_path: Path, text: str):
    path = tmp_path / "plan.json"
    path.write_text(text)
    with pytest.raises(ValidationError):
        read_plan(path)


def test_a_script_is_read_in_order_and_its_last_reading_stays(tmp_path: Path):
    path = tmp_path / "script.json"
    path.write_text(SCRIPT)
    reader = ScriptedReader(GpuSettings(script_path=path))
    with pytest.raises(DriverUnavailable, match="not yet"):
        reader.read()
    assert reader.read() == (Device(0, "GPU-a", "A", 100, 40),)
    last = reader.read()
    assert (last[0].power_watts, last[0].processes[0].service) == (9, "stt-service")
    assert reader.read() == last


def played(tmp_path: Path, script: object) -> list[str]:
    """What a script plays until it stays: memory used and the first process's, or why there is none."""
    path = tmp_path / "script.json"
    path.write_text(json.dumps(script))
    reader, readings = ScriptedReader(GpuSettings(script_path=path)), list[str]()
    while len(readings) < 8 or len(set(readings[-8:])) > 1:
        try:
            device = reader.read()[0]
            readings.append(f"{device.memory_used_bytes}, {[each.memory_used_bytes for each in device.processes]}")
        except DriverUnavailable as error:
            readings.append(error.message)
    return readings[:-7]


DEVICE = {"index": 0, "uuid": "GPU-a", "name": "A", "memory_total_bytes": 100, "memory_used_bytes": 40}
TTS = {"pid": 7, "service": "tts-service", "memory_used_bytes": 10}


def test_growth_is_played_on_whom_it_is_of(tmp_path: Path):
    device = {**DEVICE, "processes": [{"pid": 6}, TTS]}
    script = [{"reading": [device], "times": 3, "growth_bytes": 5, "grower": "tts-service"}]
    assert played(tmp_path, script) == ["40, [None, 10]", "45, [None, 15]", "50, [None, 20]"]


def test_growth_of_nobody_known_fills_the_device_and_no_more(tmp_path: Path):
    script = [{"reading": [DEVICE], "times": 4, "growth_bytes": 25}]
    assert played(tmp_path, script) == ["40, []", "65, []", "90, []", "100, []"]


def test_the_teeth_of_an_allocator_are_played(tmp_path: Path):
    script = [{"reading": [DEVICE], "times": 5, "growth_bytes": 25, "tooth": 2}, "over"]
    assert played(tmp_path, script) == ["40, []", "65, []", "40, []", "65, []", "40, []", "over"]


def test_a_loss_is_played_for_a_while(tmp_path: Path):
    path = tmp_path / "script.json"
    path.write_text(json.dumps([{"reading": "fell off the bus", "times": 2}, [DEVICE]]))
    reader = ScriptedReader(GpuSettings(script_path=path))
    for _ in range(2):
        with pytest.raises(DriverUnavailable, match="fell off the bus"):
            reader.read()
    assert len(reader.read()) == 1


def test_the_handbooks_script_can_be_played(tmp_path: Path):
    handbook = (Path(__file__).parents[2] / "docs/gpu-memory.md").read_text("utf-8")
    (script,) = re.findall(r"```json\n(\[.*?)```", handbook, re.DOTALL)
    readings = played(tmp_path, json.loads(script))
    assert readings[1] == "22011707392, [13421772800]"
    assert readings[-1] == "21474836480, []"


@pytest.mark.parametrize("times", [0, -1])
def test_a_stretch_of_no_times_is_refused(tmp_path: Path, times: int):
    with pytest.raises(ValidationError):
        played(tmp_path, [{"reading": "gone", "times": times}])


def test_a_plan_with_two_entries_of_one_service_counts_them_together():
    entries = PlannedMemory("ollama", "m", weights_bytes=9), PlannedMemory("ollama", "n", context_bytes=1)
    assert Plan(entries).by_service == {"ollama": 10}


def test_without_a_script_one_calm_device_is_seen():
    reader = ScriptedReader(GpuSettings())
    assert len(reader.read()) == 1
    assert reader.info.name == "scripted"


def test_a_script_without_readings_is_refused(tmp_path: Path):
    path = tmp_path / "script.json"
    path.write_text("[]")
    with pytest.raises(ValueError, match="no reading"):
        ScriptedReader(GpuSettings(script_path=path))
