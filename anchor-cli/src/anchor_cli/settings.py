"""Settings of the `anchor` command. Ports have the names that the services read, so one environment serves both."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict
from service_kit.settings import Profile, shared


class MeshSettings(BaseSettings):
    """What a mesh on this machine is made of.

    Constructing it raises `pydantic.ValidationError` when the environment holds something that does not fit.
    """

    model_config = SettingsConfigDict(frozen=True, extra="ignore", populate_by_name=True, env_ignore_empty=True)

    profile: Profile = Field(default="embedded", validation_alias=shared("ANCHOR_PROFILE"))
    # Script of the scripted engines.
    script: Path | None = Field(default=None, validation_alias=shared("ANCHOR_SCRIPT"))
    # Address the services listen on.
    host: str = Field(default="127.0.0.1", validation_alias=shared("ANCHOR_HOST"))
    # What the orchestrator asks of its clients, and so of this one.
    shared_secret: SecretStr = Field(default=SecretStr(""), validation_alias=shared("SHARED_SECRET"))
    # The project: services run there, and find their content there.
    root: Path = Field(default_factory=Path.cwd, validation_alias=shared("ANCHOR_ROOT"))
    # Logs, the supervisor's files, the lock against a second mesh.
    run_dir: Path = Field(default=Path("run"), validation_alias=shared("ANCHOR_RUN_DIR"))
    # How long all services together may take to become ready.
    start_timeout_s: float = Field(default=120, gt=0, le=3600, validation_alias=shared("ANCHOR_START_TIMEOUT_S"))
    # How long a service may take to finish after SIGTERM; the supervisor waits a little longer before it kills.
    drain_s: float = Field(default=5, ge=0, le=300, validation_alias=shared("ANCHOR_DRAIN_S"))
    # What the self-test asks.
    self_test_wav: Path = Field(
        default=Path("content/questions/demo.wav"), validation_alias=shared("ANCHOR_SELF_TEST_WAV")
    )
    # Where model files are, and the list that names them.
    models_dir: Path = Field(default=Path("models"), validation_alias=shared("ANCHOR_MODELS_DIR"))
    models_lock: Path = Field(default=Path("models.lock"), validation_alias=shared("ANCHOR_MODELS_LOCK"))
    # Where models of kind "hub" come from, a hub or a mirror of one, and what it asks for where a licence was accepted.
    models_hub_url: str = Field(default="https://huggingface.co", validation_alias=shared("ANCHOR_MODELS_HUB_URL"))
    models_hub_token: SecretStr = Field(default=SecretStr(""), validation_alias=shared("ANCHOR_MODELS_HUB_TOKEN"))

    vad_grpc_port: int = Field(default=9082, ge=1, le=65535)
    vad_http_port: int = Field(default=8002, ge=1, le=65535)
    stt_grpc_port: int = Field(default=9081, ge=1, le=65535)
    stt_http_port: int = Field(default=8001, ge=1, le=65535)
    tts_grpc_port: int = Field(default=9083, ge=1, le=65535)
    tts_http_port: int = Field(default=8003, ge=1, le=65535)
    gpu_grpc_port: int = Field(default=9084, ge=1, le=65535)
    gpu_http_port: int = Field(default=8004, ge=1, le=65535)
    orchestrator_grpc_port: int = Field(default=9080, ge=1, le=65535)
    orchestrator_http_port: int = Field(default=8080, ge=1, le=65535)

    @property
    def peer_host(self) -> str:
        """Address under which this machine reaches its own services."""
        return "127.0.0.1" if self.host in {"0.0.0.0", ""} else self.host

    @property
    def address(self) -> str:
        """Where people find the anchor."""
        return f"http://{self.peer_host}:{self.orchestrator_http_port}"

    @property
    def audio_url(self) -> str:
        """The native WebSocket."""
        return f"ws://{self.peer_host}:{self.orchestrator_http_port}/ws/audio"

    @property
    def run_folder(self) -> Path:
        """`run_dir`, absolute."""
        return (self.root / self.run_dir).resolve()
