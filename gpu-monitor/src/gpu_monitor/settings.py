"""Settings of the GPU monitor; environment prefix `GPU_`."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict
from service_kit.settings import ServerUrl, ServiceSettings, shared


class GpuSettings(ServiceSettings):
    """Settings of the GPU monitor."""

    model_config = SettingsConfigDict(env_prefix="GPU_")

    grpc_port: int = Field(default=9084, ge=0, le=65535)
    http_port: int = Field(default=8004, ge=0, le=65535)
    engine: str = Field(default="nvml")
    # Interval between readings of the driver, and between reports to a client that requests no interval.
    interval_ms: int = Field(default=1000, ge=100, le=60_000)
    # Interval between readings while the driver is missing or fails.
    retry_interval_s: float = Field(default=15.0, ge=0.05, le=3600)
    # A reading that takes longer counts as a driver failure until it returns.
    read_deadline_s: float = Field(default=5.0, ge=0.05, le=300)
    # The project's services to poll for self-reports: gRPC address by the service's name in the plan, as JSON.
    services: dict[str, str] = Field(default={"stt-service": "127.0.0.1:9081", "tts-service": "127.0.0.1:9083"})
    # Deadline for one self-report.
    self_report_deadline_s: float = Field(default=1.0, ge=0.05, le=60)
    # Ollama server to poll for loaded models, unless the profile is `embedded`.
    ollama_url: ServerUrl = Field(default="http://127.0.0.1:11434", validation_alias=shared("OLLAMA_URL"))
    # The vLLM server behind stt-service; when empty, only stt-service's own report counts.
    vllm_url: ServerUrl = Field(default="")
    # Memory of each device that the services may hold together, in GiB; without it, the whole device.
    memory_limit_gb: float | None = Field(default=None, gt=0, le=4096)
    # The memory plan, a JSON file; without it, nothing is planned.
    plan_path: Path | None = Field(default=None)
    # Allowed deviation from the plan, as a share of it; at least 256 MiB.
    plan_tolerance: float = Field(default=0.05, ge=0, le=1)
    # A leak: a service grows faster than the rate and by more than the growth over the window.
    leak_mib_per_hour: float = Field(default=64.0, gt=0)
    leak_growth_mib: float = Field(default=32.0, gt=0)
    leak_window_s: float = Field(default=1800.0, ge=1, le=86_400)
    # A device that will be full within this time at its current growth is about to run out of memory.
    exhaustion_within_s: float = Field(default=120.0, gt=0, le=3600)
    # Script of the `scripted` engine, a JSON file; without it, one device that is never short of memory.
    script_path: Path | None = Field(default=None)
    # Whether /proc shows the host's processes, as the driver counts them; by default, detected from the pid namespace.
    host_pids: bool | None = Field(default=None)

    @property
    def memory_budget_bytes(self) -> int | None:
        """The memory limit in bytes; None when not set."""
        return None if self.memory_limit_gb is None else int(self.memory_limit_gb * 1024**3)
