"""Settings of the GPU monitor; environment prefix `GPU_`."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict
from service_kit.settings import ServiceSettings, shared


class GpuSettings(ServiceSettings):
    """How the GPUs are watched."""

    model_config = SettingsConfigDict(env_prefix="GPU_")

    grpc_port: int = Field(default=9084, ge=0, le=65535)
    http_port: int = Field(default=8004, ge=0, le=65535)
    engine: str = Field(default="nvml")
    # Time between two readings of the driver, and between two reports to a client that names no interval.
    interval_ms: int = Field(default=1000, ge=100, le=60_000)
    # How long to leave a driver alone that is missing or fails.
    retry_interval_s: float = Field(default=15.0, ge=0.05, le=3600)
    # A driver that takes longer than this for one reading counts as failed until it answers.
    read_deadline_s: float = Field(default=5.0, ge=0.05, le=300)
    # Services of ours to ask what they hold, by the names that the plan has for them: gRPC addresses, as JSON.
    services: dict[str, str] = Field(default={"stt-service": "127.0.0.1:9081", "tts-service": "127.0.0.1:9083"})
    # A service that takes longer than this to say so is not waited for.
    self_report_deadline_s: float = Field(default=1.0, ge=0.05, le=60)
    # Asked which models it has on the GPU, unless the profile is `embedded`.
    ollama_url: str = Field(default="http://127.0.0.1:11434", validation_alias=shared("OLLAMA_URL"))
    # The vLLM server that hears for stt-service; empty to know of it by what stt-service says only.
    vllm_url: str = Field(default="")
    # Memory of each device that is kept for the services, in GiB; without it the whole device counts.
    memory_limit_gb: float | None = Field(default=None, gt=0, le=4096)
    # The memory plan, a JSON file; without it nothing was planned.
    plan_path: Path | None = Field(default=None)
    # Share of its plan that a service may be above or below it; 256 MiB are allowed anyway.
    plan_tolerance: float = Field(default=0.05, ge=0, le=1)
    # A service leaks that grows faster than this, by more than the growth, as seen over the window.
    leak_mib_per_hour: float = Field(default=64.0, gt=0)
    leak_growth_mib: float = Field(default=32.0, gt=0)
    leak_window_s: float = Field(default=1800.0, ge=1, le=86_400)
    # A device that would be full within this time, if it went on growing, is about to run out of memory.
    exhaustion_within_s: float = Field(default=120.0, gt=0, le=3600)
    # What the `scripted` engine reads, a JSON file; without it, one device that is never short of memory.
    script_path: Path | None = Field(default=None)
    # Whether /proc shows the processes the driver counts (the host's); by default, decided by the pid namespace.
    host_pids: bool | None = Field(default=None)

    @property
    def memory_budget_bytes(self) -> int | None:
        """The memory limit in bytes; None when none was set."""
        return None if self.memory_limit_gb is None else int(self.memory_limit_gb * 1024**3)
