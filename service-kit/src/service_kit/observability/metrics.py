"""Metrics that every service exports."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

RPC_SECONDS = Histogram(
    "anchor_rpc_seconds",
    "Time a gRPC call took.",
    ["method", "code"],
    buckets=(0.005, 0.02, 0.1, 0.5, 2, 10, 60, 600, 3600),
)
RPCS_OPEN = Gauge("anchor_rpcs_open", "Open gRPC calls.", ["method"])
ERRORS = Counter("anchor_errors_total", "Errors sent to callers, by their stable code.", ["code"])
READY = Gauge("anchor_ready", "Whether the service is ready (1) or not (0).")
SPANS = Counter("anchor_spans_total", "Trace spans: made, taken by the collector, or lost.", ["fate"])
TASKS = Gauge("anchor_tasks", "Tasks of the event loop.")
