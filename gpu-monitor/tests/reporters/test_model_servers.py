"""Reporters for Ollama and vLLM, over HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse
from gpu_monitor.memory.self_report import EngineState
from gpu_monitor.reporters.model_servers import OllamaReporter, VllmReporter
from self_reporting import first_report, wait_until
from service_kit.engines.memory import MemoryKind
from service_kit.errors import PeerFailed
from service_kit.http.routes import http_server

VLLM = """
# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc{engine="0",model_name="voxtral"} 0.25
vllm:kv_cache_usage_perc{engine="1",model_name="voxtral"} 0.5
# TYPE vllm:cache_config_info gauge
vllm:cache_config_info{block_size="16",kv_cache_memory_bytes="1073741824",num_gpu_blocks="546"} 1.0
"""


@asynccontextmanager
async def http(app: FastAPI) -> AsyncGenerator[str]:
    server = http_server(app, "127.0.0.1", 0)
    serving = asyncio.create_task(server.serve())
    await wait_until(lambda: server.started)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    await serving


def answering(path: str, body: str, status: int = 200) -> FastAPI:
    app = FastAPI()
    app.get(path)(lambda: PlainTextResponse(body, status))
    return app


async def test_ollama_reports_loaded_models_and_their_gpu_memory():
    models = [{"name": "a", "size": 90, "size_vram": 70}, {"name": "b", "size": 9, "size_vram": 0}]
    async with http(answering("/api/ps", json.dumps({"models": models}))) as url:
        report = await first_report(OllamaReporter(url + "/"))
    assert (report.models, report.held_bytes, "ollama" in report.commands) == (("a", "b"), 70, True)


@pytest.mark.parametrize("body", ['{"models": []}', '{"models": null}'])
async def test_ollama_without_models_is_parked(body: str):
    async with http(answering("/api/ps", body)) as url:
        report = await first_report(OllamaReporter(url))
    assert (report.state, report.held_bytes) == (EngineState.PARKED, 0)


@pytest.mark.parametrize(
    ("body", "status"), [("<html>", 200), ('{"models": [{}]}', 200), ('{"models": []}', 500), ("[]", 200)]
)
async def test_invalid_ollama_response_raises_peer_failed(body: str, status: int):
    async with http(answering("/api/ps", body, status)) as url:
        with pytest.raises(PeerFailed, match="self_report_failed"):
            await first_report(OllamaReporter(url))


async def test_vllm_reports_its_cache_and_is_incomplete():
    async with http(answering("/metrics", VLLM)) as url:
        report = await first_report(VllmReporter(url + "/v1"))
    assert (report.parts, report.kv_cache_used_share) == ({MemoryKind.KV_CACHE: 1 << 30}, 0.5)
    assert (report.models, report.held_bytes) == (("voxtral",), None)


async def test_vllm_without_configured_cache_size_reports_the_share():
    async with http(answering("/metrics", VLLM.replace("1073741824", "None"))) as url:
        report = await first_report(VllmReporter(url))
    assert (report.parts, report.kv_cache_used_share) == ({}, 0.5)


@pytest.mark.parametrize("body", ["anchor_ready 1\n", "not { metrics", ""])
async def test_metrics_without_vllm_series_raise_peer_failed(body: str):
    async with http(answering("/metrics", body)) as url:
        with pytest.raises(PeerFailed):
            await first_report(VllmReporter(url))
