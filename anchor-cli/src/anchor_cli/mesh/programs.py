"""The programs of a mesh, and the environment that they run in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from service_kit.addresses import authority
from service_kit.settings import SECRET_FILE_SUFFIX

from anchor_cli.settings import MeshSettings

LOOPBACK = "127.0.0.1"
# The programs that each secret of the environment is for.
SECRETS: Mapping[str, frozenset[str]] = {
    "SHARED_SECRET": frozenset({"orchestrator"}),
    # The database's URL has its password.
    "ORCHESTRATOR_STORE": frozenset({"orchestrator"}),
    "LLM_OPENAI_API_KEY": frozenset({"orchestrator"}),
    "LLM_LOCAL_API_KEY": frozenset({"orchestrator", "llm"}),
    "STT_VOXTRAL_API_KEY": frozenset({"stt"}),
    "STT_VOXTRAL_REALTIME_API_KEY": frozenset({"stt"}),
    # Of the collector of traces.
    "OTEL_EXPORTER_OTLP_HEADERS": frozenset({"vad", "stt", "tts", "gpu", "orchestrator"}),
    # Of `anchor pull`, which is no program of the mesh.
    "ANCHOR_MODELS_HUB_TOKEN": frozenset(),
    "HF_TOKEN": frozenset(),
}


@dataclass(frozen=True, slots=True)
class Program:
    """One service process. `priority` orders starts (lowest first) and stops (highest first).

    Without an `optional` program that reports "failed", the mesh is ready all the same.
    """

    name: str
    module: str
    priority: int
    # None for a program without gRPC.
    grpc_port: int | None
    http_port: int
    optional: bool = False
    ready_path: str = "/ready"
    # The address that it listens on.
    host: str = LOOPBACK
    # Time beyond the drain time that it may take to end; it then ends before the programs that it needs, in seconds.
    grace_s: float = 0.0

    @property
    def withheld_secrets(self) -> list[str]:
        """The secrets of the environment, and their files, that this program and its workers have no use for."""
        withheld = [secret for secret, programs in SECRETS.items() if self.name not in programs]
        return [name for secret in withheld for name in (secret, secret + SECRET_FILE_SUFFIX)]

    @property
    def ports(self) -> dict[int, str]:
        """The settings' names by port."""
        numbers = {"GRPC": self.grpc_port, "HTTP": self.http_port}
        return {port: f"{self.name.upper()}_{name}_PORT" for name, port in numbers.items() if port is not None}


def mesh_programs(settings: MeshSettings) -> tuple[Program, ...]:
    """The programs of a mesh: those with the longest loading time first, the orchestrator last.

    On a GPU, text-to-speech starts before speech-to-text, whose server takes the remaining memory.
    """
    inner = settings.internal_host
    stt, tts = (20, 10) if settings.profile == "gpu" else (10, 20)
    local_llm = (
        # llama.cpp's own server, on the loopback whatever the mesh's address is.
        Program("llm", "llm_service", 45, None, settings.llm_http_port, optional=True, ready_path="/health"),
    )
    return (
        *(local_llm if settings.runs_local_llm else ()),
        Program("stt", "stt_service", stt, settings.stt_grpc_port, settings.stt_http_port, host=inner),
        Program("tts", "tts_service", tts, settings.tts_grpc_port, settings.tts_http_port, host=inner),
        Program("vad", "vad_service", 30, settings.vad_grpc_port, settings.vad_http_port, host=inner),
        Program("gpu", "gpu_monitor", 40, settings.gpu_grpc_port, settings.gpu_http_port, host=inner),
        Program(
            "orchestrator",
            "orchestrator",
            50,
            settings.orchestrator_grpc_port,
            settings.orchestrator_http_port,
            host=settings.host,
            grace_s=settings.turn_grace_s,
        ),
    )


def ports_by_host(members: Iterable[Program]) -> dict[str, list[int]]:
    """The ports of a mesh in ascending order, by the address that they are bound on."""
    ports: dict[str, list[int]] = {}
    for program in members:
        ports.setdefault(program.host, []).extend(program.ports)
    return {host: sorted(numbers) for host, numbers in ports.items()}


def program_environment(settings: MeshSettings, inherited: Mapping[str, str]) -> dict[str, str]:
    """The environment of every program: `inherited` plus the settings that the services read.

    Service addresses in `inherited` take precedence, so that a service may run elsewhere.
    """
    own = {
        "ANCHOR_PROFILE": settings.profile,
        "ANCHOR_HOST": settings.host,
        "ANCHOR_INTERNAL_HOST": settings.internal_host,
        "ANCHOR_DRAIN_S": str(settings.drain_s),
        "ORCHESTRATOR_TURN_GRACE_S": str(settings.turn_grace_s),
    }
    if settings.script is not None:
        own["ANCHOR_SCRIPT"] = str(settings.script.resolve())
    # Worker processes never use gRPC after a fork; its fork support would log a message on every start.
    defaults = {"GRPC_ENABLE_FORK_SUPPORT": "false"}
    for program in mesh_programs(settings):
        name = program.name.upper()
        own.update({setting: str(port) for port, setting in program.ports.items()})
        if program.name == "llm":
            defaults["LLM_LOCAL_URL"] = f"http://{LOOPBACK}:{program.http_port}"
        elif program.name != "orchestrator":
            defaults[f"{name}_TARGET"] = authority(settings.internal_connect_host, program.grpc_port or 0)
            defaults[f"{name}_HEALTH_URL"] = f"http://{authority(settings.internal_connect_host, program.http_port)}"
    return {**defaults, **inherited, **own}
