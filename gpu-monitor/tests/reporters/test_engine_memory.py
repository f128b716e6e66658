"""The reporter for the project's services, over gRPC."""

from __future__ import annotations

import pytest
from anchor.memory.v1 import memory_pb2
from gpu_monitor.memory.self_report import EngineState, SelfReport
from gpu_monitor.reporters.engine_memory import EngineMemoryReporter, to_self_report
from self_reporting import MeasuredEngine, first_report, serve_engine_memory
from service_kit.engines.memory import MemoryKind
from service_kit.errors import PeerFailed

CONTAINER = "ab" * 32


async def test_reports_the_engines_memory_by_kind():
    async with serve_engine_memory(MeasuredEngine({MemoryKind.WEIGHTS: 7, MemoryKind.CONTEXT: 2}), CONTAINER) as target:
        report = await first_report(EngineMemoryReporter("tts-service", target))
    assert report == SelfReport(
        EngineState.AWAKE,
        models=("a-model",),
        parts={MemoryKind.WEIGHTS: 7, MemoryKind.CONTEXT: 2},
        container_id=CONTAINER,
    )
    assert report.held_bytes == 9


async def test_engine_without_memory_figures_is_incomplete():
    async with serve_engine_memory(object(), CONTAINER) as target:
        assert (await first_report(EngineMemoryReporter("tts-service", target))).held_bytes is None


@pytest.mark.parametrize(
    ("state", "held"), [(memory_pb2.ENGINE_STATE_PARKED, 0), (memory_pb2.ENGINE_STATE_AWAKE, None)]
)
def test_parked_engine_without_parts_holds_zero_bytes(state: memory_pb2.EngineState, held: int | None):
    assert to_self_report(memory_pb2.GetMemoryResponse(state=state)).held_bytes == held


async def test_unreachable_service_raises_peer_failed():
    with pytest.raises(PeerFailed):
        await first_report(EngineMemoryReporter("tts-service", "127.0.0.1:9"))


def test_unknown_state_and_kind_are_preserved():
    # The state is 99, and the kind of 4 bytes 77.
    said = memory_pb2.GetMemoryResponse.FromString(b"\x08\x63\x22\x04\x08\x4d\x10\x04")
    report = to_self_report(said)
    assert (report.state, report.parts, report.held_bytes) == (EngineState.UNKNOWN, {}, 4)
