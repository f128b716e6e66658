"""Reading the memory plan."""

from __future__ import annotations

from pathlib import Path

import pytest
from gpu_monitor.memory.plan import MemoryPlan, PlannedMemory, read_plan
from pydantic import ValidationError


def test_plan_is_read_and_totalled(tmp_path: Path):
    path = tmp_path / "plan.json"
    path.write_text('{"services": [{"service": "stt-service", "model": "m", "weights_bytes": 9, "context_bytes": 1}]}')
    plan = read_plan(path)
    assert plan == MemoryPlan((PlannedMemory("stt-service", "m", weights_bytes=9, context_bytes=1),))
    assert plan.services[0].total_bytes == 10


def test_missing_file_is_an_empty_plan(tmp_path: Path):
    assert read_plan(None) == read_plan(tmp_path / "none.json") == MemoryPlan()


@pytest.mark.parametrize("text", ["", "[]", '{"services": [{"service": "x", "model": "m", "weights_bytes": -1}]}'])
def test_invalid_plan_is_rejected(tmp_path: Path, text: str):
    path = tmp_path / "plan.json"
    path.write_text(text)
    with pytest.raises(ValidationError):
        read_plan(path)


def test_entries_of_one_service_are_summed():
    entries = PlannedMemory("ollama", "m", weights_bytes=9), PlannedMemory("ollama", "n", context_bytes=1)
    assert MemoryPlan(entries).bytes_by_service == {"ollama": 10}


def test_several_models_of_one_service_share_a_context():
    entries = PlannedMemory("ollama", "m", context_bytes=5), PlannedMemory("ollama", "n", context_bytes=5)
    assert MemoryPlan(entries).context_bytes_by_service == {"ollama": 5}
