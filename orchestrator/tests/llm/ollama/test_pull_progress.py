"""Progress, speed and remaining time of a pull."""

import pytest
from orchestrator.llm.ollama.pull_progress import PullProgressMeter


def test_parts_add_up():
    meter = PullProgressMeter()
    meter.update("weights", 0, 900, 0)
    assert meter.update("template", 100, 100, 1).completed_bytes == 100
    progress = meter.update("weights", 450, 900, 2)
    assert (progress.completed_bytes, progress.total_bytes) == (550, 1000)


def test_speed_and_eta_cover_the_last_ten_seconds():
    meter = PullProgressMeter()
    for second in range(21):
        progress = meter.update("weights", 100 * second, 10_000, second)
    assert (progress.bytes_per_s, progress.eta_s) == (100, 80)
    for second in range(21, 41):
        progress = meter.update("weights", 2000 + 10 * (second - 20), 10_000, second)
    assert progress.bytes_per_s == pytest.approx(10)


def test_bytes_of_an_earlier_pull_do_not_count_as_speed():
    meter = PullProgressMeter()
    assert meter.update("weights", 5000, 10_000, 0).eta_s is None
    progress = meter.update("weights", 5100, 10_000, 1)
    assert progress.bytes_per_s == 100


def test_progress_is_formatted_as_text():
    meter = PullProgressMeter()
    assert str(meter.update("weights", 0, 0, 0)) == "0 % pulled at 0.0 MB/s"
    meter.update("weights", 0, 10**9, 1)
    assert str(meter.update("weights", 10**8, 10**9, 11)) == "10 % pulled at 10.0 MB/s, 2 min left"
