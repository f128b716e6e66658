"""The whole service, over gRPC, HTTP and as a process."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import httpx
import pytest
from anchor.vad.v1 import vad_pb2, vad_pb2_grpc
from service_kit.errors import EngineFailed, InvalidRequest
from service_kit.rpc.channel import open_channel, read_message, write_message
from vad_service.app import build

PORTS = {"grpc_port": 0, "http_port": 0, "drain_s": 0}


async def test_the_service_loads_serves_describes_itself_and_stops(settings, utterance):
    stop = asyncio.Event()
    service = build(settings.model_copy(update=PORTS))
    running = asyncio.create_task(service.run(stop))
    async with asyncio.timeout(60):
        while not service.health.ready:
            await asyncio.sleep(0.01)
    channel = open_channel(f"127.0.0.1:{service.grpc_port}")
    call = vad_pb2_grpc.TurnDetectionServiceStub(channel).Detect()
    await write_message(call, vad_pb2.DetectRequest(config=vad_pb2.DetectionConfig(sample_rate_hz=16_000)), "vad")
    request = vad_pb2.DetectRequest()
    request.audio.pcm = utterance
    await write_message(call, request, "vad")
    assert (await read_message(call, "vad", 20)).speech_started.at_ms > 900
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{service.http_port}") as http:
        info = (await http.get("/info")).json()
        assert info["engine"]["name"] == "silero"
        assert info["turn_end_predictor"] == "smart-turn+text"
        assert "anchor_vad_microphones_open 1.0" in (await http.get("/metrics")).text
    call.cancel()
    await channel.close()
    stop.set()
    await running


async def test_the_service_does_not_start_without_its_speech_model(settings, tmp_path):
    service = build(settings.model_copy(update={**PORTS, "models_dir": tmp_path}))
    with pytest.raises(EngineFailed, match=r"silero_vad\.onnx"):
        await service.run(asyncio.Event())


async def test_the_service_does_not_start_without_its_turn_end_model(settings, tmp_path):
    (tmp_path / "silero_vad.onnx").symlink_to(settings.models_dir / "silero_vad.onnx")
    service = build(settings.model_copy(update={**PORTS, "models_dir": tmp_path}))
    with pytest.raises(EngineFailed, match=r"smart-turn-v3\.2\.onnx; run `.*anchor models`"):
        await service.run(asyncio.Event())


async def test_the_pause_predictor_needs_no_model_file(settings, tmp_path):
    stop = asyncio.Event()
    stop.set()
    alone = {**PORTS, "models_dir": tmp_path, "engine": "energy", "turn_end_predictor": "pause"}
    await build(settings.model_copy(update=alone)).run(stop)


@pytest.mark.parametrize("slot", ["engine", "turn_end_predictor"])
def test_an_unknown_engine_is_refused_by_name(settings, slot: str):
    with pytest.raises(InvalidRequest, match="nonesuch"):
        build(settings.model_copy(update={slot: "nonesuch"}))


async def run_process(*, until: bytes = b"", **environment: str) -> tuple[int | None, str, str]:
    """Run the service as a process, send SIGTERM once it has printed `until`; return exit code, stdout and stderr."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "vad_service"),
        env={**os.environ, "VAD_GRPC_PORT": "0", "VAD_HTTP_PORT": "0", **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout
    output = b""
    async with asyncio.timeout(60):
        if until:
            while until not in output:
                output += await process.stdout.readline()
            process.send_signal(signal.SIGTERM)
        rest, complaints = await process.communicate()
    return process.returncode, (output + rest).decode(), complaints.decode()


async def test_a_process_exits_cleanly_on_sigterm(settings):
    code, output, _ = await run_process(
        until=b"service ready", ANCHOR_MODELS_DIR=str(settings.models_dir), ANCHOR_MODELS_LOCK=str(settings.models_lock)
    )
    assert (code, "service stopped" in output) == (0, True)


async def test_a_failed_start_prints_its_reason_in_one_line(settings, tmp_path):
    code, _, complaints = await run_process(
        ANCHOR_MODELS_DIR=str(tmp_path), ANCHOR_MODELS_LOCK=str(settings.models_lock)
    )
    assert code == 1
    assert "silero_vad.onnx" in complaints.splitlines()[-1]
    assert "Traceback" not in complaints


async def test_a_misspelt_engine_prints_the_known_ones_in_one_line():
    code, _, complaints = await run_process(VAD_ENGINE="sillero")
    assert code == 1
    assert "'sillero'; there are energy, silero" in complaints.splitlines()[-1]
