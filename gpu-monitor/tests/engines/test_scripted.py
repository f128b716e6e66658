"""The scripted reader and its script files."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from gpu_monitor.engine import Device, DriverUnavailable
from gpu_monitor.engines.scripted import ScriptedReader
from gpu_monitor.settings import GpuSettings
from pydantic import ValidationError

SCRIPT = """[
    "not yet",
    [{"index": 0, "uuid": "GPU-a", "name": "A", "memory_total_bytes": 100, "memory_used_bytes": 40}],
    [{"index": 0, "uuid": "GPU-a", "name": "A", "memory_total_bytes": 100, "memory_used_bytes": 95, "power_watts": 9,
      "processes": [{"pid": 7, "service": "stt-service", "memory_used_bytes": 30}]}]
]"""


def test_script_plays_in_order_and_repeats_the_last_reading(tmp_path: Path):
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
    """Readings until the last one repeats: device bytes and process bytes, or the reason for having none."""
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


def test_growth_is_added_to_the_growing_service(tmp_path: Path):
    device = {**DEVICE, "processes": [{"pid": 6}, TTS]}
    script = [{"reading": [device], "times": 3, "growth_bytes": 5, "grower": "tts-service"}]
    assert played(tmp_path, script) == ["40, [None, 10]", "45, [None, 15]", "50, [None, 20]"]


def test_unattributed_growth_stops_at_total_memory(tmp_path: Path):
    script = [{"reading": [DEVICE], "times": 4, "growth_bytes": 25}]
    assert played(tmp_path, script) == ["40, []", "65, []", "90, []", "100, []"]


def test_tooth_resets_the_growth(tmp_path: Path):
    script = [{"reading": [DEVICE], "times": 5, "growth_bytes": 25, "tooth": 2}, "over"]
    assert played(tmp_path, script) == ["40, []", "65, []", "40, []", "65, []", "40, []", "over"]


def test_failure_step_is_repeated(tmp_path: Path):
    path = tmp_path / "script.json"
    path.write_text(json.dumps([{"reading": "fell off the bus", "times": 2}, [DEVICE]]))
    reader = ScriptedReader(GpuSettings(script_path=path))
    for _ in range(2):
        with pytest.raises(DriverUnavailable, match="fell off the bus"):
            reader.read()
    assert len(reader.read()) == 1


def test_script_in_the_operations_guide_is_valid(tmp_path: Path):
    guide = (Path(__file__).parents[3] / "docs/gpu-memory.md").read_text("utf-8")
    (script,) = re.findall(r"```json\n(\[.*?)```", guide, re.DOTALL)
    readings = played(tmp_path, json.loads(script))
    assert readings[1] == "22011707392, [13421772800]"
    assert readings[-1] == "21474836480, []"


@pytest.mark.parametrize("times", [0, -1])
def test_step_without_repetitions_is_rejected(tmp_path: Path, times: int):
    with pytest.raises(ValidationError):
        played(tmp_path, [{"reading": "gone", "times": times}])


def test_default_script_has_one_device():
    reader = ScriptedReader(GpuSettings())
    assert len(reader.read()) == 1
    assert reader.info.name == "scripted"


def test_script_without_readings_is_rejected(tmp_path: Path):
    path = tmp_path / "script.json"
    path.write_text("[]")
    with pytest.raises(ValueError, match="no reading"):
        ScriptedReader(GpuSettings(script_path=path))
