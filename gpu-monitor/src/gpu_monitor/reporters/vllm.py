"""Asks a vLLM server for what it tells of its memory: the cache, and how full that is."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from prometheus_client.parser import text_string_to_metric_families
from service_kit.engines.memory import MemoryKind

from gpu_monitor.memory.self_report import Ask, EngineState, SelfReport
from gpu_monitor.reporters.http import opened

# The package it is started from, and its processes; the kernel keeps 15 characters of a name.
COMMANDS = frozenset({"vllm", "VLLM::EngineCor", "VLLM::Worker"})


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
        return opened(self._url, "/metrics", self_report)


def self_report(body: bytes) -> SelfReport:
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
        commands=COMMANDS,
    )
