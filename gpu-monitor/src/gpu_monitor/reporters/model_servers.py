"""Ask model servers over HTTP for their memory: Ollama, and vLLM."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import httpx
from prometheus_client.parser import text_string_to_metric_families
from pydantic import BaseModel, NonNegativeInt, TypeAdapter
from service_kit.engines.memory import MemoryKind
from service_kit.errors import PeerFailed

from gpu_monitor.memory.self_report import EngineState, FetchReport, SelfReport

# Ollama's server, and the process that it starts for each model.
OLLAMA_COMMANDS = frozenset({"ollama", "llama-server"})
# vLLM's package and its processes; the kernel truncates names to 15 characters.
VLLM_COMMANDS = frozenset({"vllm", "VLLM::EngineCor", "VLLM::Worker"})


@asynccontextmanager
async def http_connection(url: str, path: str, parse: Callable[[bytes], SelfReport]) -> AsyncGenerator[FetchReport]:
    """Yield a function that fetches `url` + `path` and parses it. A `ValueError` of `parse` becomes `PeerFailed`."""
    # No timeout: the poller sets the deadline.
    async with httpx.AsyncClient(timeout=None, trust_env=False) as client:  # noqa: S113

        async def fetch() -> SelfReport:
            try:
                answer = await client.get(url.rstrip("/") + path)
                return parse(answer.raise_for_status().content)
            except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
                raise PeerFailed("gpu.self_report_failed", f"{url}{path}: {error!r}") from error

        yield fetch


class RunningModel(BaseModel):
    """One model in Ollama's `/api/ps`."""

    name: str
    # Weights, cache and scratch memory, without the CUDA context.
    size_vram: NonNegativeInt = 0


class RunningModels(BaseModel):
    """Response body of Ollama's `/api/ps`."""

    models: list[RunningModel] | None = None


_ANSWER = TypeAdapter(RunningModels)


class OllamaReporter:
    """Reporter for the Ollama server at `url`, which reports one figure per model."""

    service = "ollama"

    def __init__(self, url: str) -> None:
        self._url = url

    def connect(self) -> AbstractAsyncContextManager[FetchReport]:
        return http_connection(self._url, "/api/ps", parse_ollama)


def parse_ollama(body: bytes) -> SelfReport:
    """Parse the body of `/api/ps`."""
    models = _ANSWER.validate_json(body).models or []
    return SelfReport(
        # An unloaded model takes its memory again with the next request, as a parked engine does when woken.
        state=EngineState.AWAKE if models else EngineState.PARKED,
        models=tuple(model.name for model in models),
        other_bytes=sum(model.size_vram for model in models),
        commands=OLLAMA_COMMANDS,
    )


class VllmReporter:
    """Reporter for the vLLM server at `url`, which runs the speech-to-text model.

    vLLM does not report weights and activations, so its report is incomplete. It reports the cache size only when
    that was configured in bytes.
    """

    service = "stt-service"

    def __init__(self, url: str) -> None:
        # The setting may be the URL of the OpenAI API.
        self._url = url.rstrip("/").removesuffix("/v1")

    def connect(self) -> AbstractAsyncContextManager[FetchReport]:
        return http_connection(self._url, "/metrics", parse_vllm)


def parse_vllm(body: bytes) -> SelfReport:
    """Parse the body of `/metrics`. With several engines, cache sizes are summed and the highest share counts."""
    cache_bytes = 0
    shares: list[float] = []
    models: set[str] = set()
    for family in text_string_to_metric_families(body.decode()):
        for sample in family.samples:
            if sample.name == "vllm:kv_cache_usage_perc":
                shares.append(sample.value)
                models.add(sample.labels.get("model_name", ""))
            elif sample.name == "vllm:cache_config_info":
                size = sample.labels.get("kv_cache_memory_bytes", "")
                cache_bytes += int(size) if size.isdecimal() else 0
    if not shares:
        raise ValueError("the response contains no vLLM metrics")
    return SelfReport(
        # A sleeping server reports the same.
        state=EngineState.UNKNOWN,
        models=tuple(sorted(models - {""})),
        parts={MemoryKind.KV_CACHE: cache_bytes} if cache_bytes else {},
        complete=False,
        kv_cache_used_share=max(shares),
        commands=VLLM_COMMANDS,
    )
