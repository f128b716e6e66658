"""Merging the self-reports on one service."""

from __future__ import annotations

from gpu_monitor.memory.self_report import EngineState, ReceivedReport, SelfReport, merge_reports
from gpu_monitor.memory.service_memory import ServiceMemory
from self_reporting import reported
from service_kit.engines.memory import MemoryKind


def test_complete_report_wins_and_gaps_are_filled():
    whole = reported(30, models=("a",))
    half = reported(9, complete=False, kv_cache_used_share=0.5, commands=frozenset({"vllm"}), models=("b",))
    for answers in ([whole, half], [half, whole]):
        report = merge_reports(answers).report
        assert (report.held_bytes, report.models, report.kv_cache_used_share) == (30, ("a",), 0.5)
        assert report.commands == {"vllm"}


def test_known_state_replaces_an_unknown_one():
    server = reported(9, state=EngineState.UNKNOWN, complete=False)
    asleep = ReceivedReport(SelfReport(EngineState.PARKED, complete=False))
    assert [merge_reports(answers).report.state for answers in ([server, asleep], [asleep, server])] == [
        EngineState.PARKED,
        EngineState.PARKED,
    ]
    assert ServiceMemory("stt-service", received=server).state is EngineState.AWAKE


def test_report_with_parts_precedes_an_empty_one():
    nothing = ReceivedReport(SelfReport(complete=False, kv_cache_used_share=0.1))
    report = merge_reports([nothing, reported(9, complete=False, kv_cache_used_share=0.5)]).report
    assert (dict(report.parts), report.kv_cache_used_share) == ({MemoryKind.WEIGHTS: 9}, 0.5)
