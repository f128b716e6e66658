"""Ask model servers over HTTP for their memory: Ollama, and vLLM."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import httpx
from prometheus_client.parser import text_string_to_metric_families
from pydantic import BaseModel, NonNegativeInt, TypeAdapter
from service_kit.engines.memory import MemoryKind
from service_kit.errors import PeerFailed

from gpu_monitor.memory.self_report import Ask, EngineState, SelfReport

# The server, and what it starts for each model.
OLLAMA_COMMANDS = frozenset({"ollama", "llama-server"})
# The package it is started from, and its processes; the kernel keeps 15 characters of a name.
VLLM_COMMANDS = frozenset({"vllm", "VLLM::EngineCor", "VLLM::Worker"})


@asynccontextmanager
async def opened(url: str, path: str, read: Callable[[bytes], SelfReport]) -> AsyncGenerator[Ask]:
    """Asks for `path` below `url`; what `read` refuses with `ValueError` counts as no answer."""
    # No time limit of its own: who asks has one.
    async with httpx.AsyncClient(timeout=None, trust_env=False) as client:  # noqa: S113

        async def ask() -> SelfReport:
            try:
                answer = await client.get(url.rstrip("/") + path)
                return read(answer.raise_for_status().content)
            except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
                raise PeerFailed("gpu.self_report_failed", f"{url}{path}: {error!r}") from error

        yield ask


class RunningModel(BaseModel):
    """One model of `/api/ps`."""

    name: str
    # Weights, cache and scratch memory together, without the CUDA context.
    size_vram: NonNegativeInt = 0


class RunningModels(BaseModel):
    """The answer of `/api/ps`."""

    models: list[RunningModel] | None = None


_ANSWER = TypeAdapter(RunningModels)


class OllamaReporter:
    """The server at `url`. It does not tell weights from cache."""

    service = "ollama"

    def __init__(self, url: str) -> None:
        self._url = url

    def open(self) -> AbstractAsyncContextManager[Ask]:
        return opened(self._url, "/api/ps", parse_ollama)


def parse_ollama(body: bytes) -> SelfReport:
    """What `/api/ps` says."""
    models = _ANSWER.validate_json(body).models or []
    return SelfReport(
        # Unloaded models take their memory again with the next question, as what is parked does when it is woken.
        state=EngineState.AWAKE if models else EngineState.PARKED,
        models=tuple(model.name for model in models),
        other_bytes=sum(model.size_vram for model in models),
        commands=OLLAMA_COMMANDS,
    )


class VllmReporter:
    """The server at `url`, which hears in place of speech-to-text.

    It does not tell its weights and activations, so no figure is made of what it says. The size of the cache is told
    only where it was given in bytes.
    """

    service = "stt-service"

    def __init__(self, url: str) -> None:
        # The setting may be the address of the API.
        self._url = url.rstrip("/").removesuffix("/v1")

    def open(self) -> AbstractAsyncContextManager[Ask]:
        return opened(self._url, "/metrics", parse_vllm)


def parse_vllm(body: bytes) -> SelfReport:
    """What `/metrics` says; of several engines, their caches together and the fullest of them."""
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
        raise ValueError("no metric of vLLM is among its answer")
    return SelfReport(
        # A server that sleeps tells the same.
        state=EngineState.UNKNOWN,
        models=tuple(sorted(models - {""})),
        parts={MemoryKind.KV_CACHE: cache_bytes} if cache_bytes else {},
        complete=False,
        kv_cache_used_share=max(shares),
        commands=VLLM_COMMANDS,
    )
