"""Settings of the `anchor` command. Ports use the services' variable names, so one environment serves both."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict
from service_kit.addresses import authority, reachable_host
from service_kit.settings import (
    DEFAULT_PIPER_VOICES,
    INTERNAL_HOST,
    EnvironmentSettings,
    ModelSet,
    PiperVoices,
    Profile,
    ServerUrl,
    shared,
)


class MeshSettings(EnvironmentSettings):
    """Settings of a mesh on this machine.

    The constructor raises `pydantic.ValidationError` and `pydantic_settings.SettingsError` for an invalid environment.
    """

    model_config = SettingsConfigDict(frozen=True, extra="ignore", populate_by_name=True, env_ignore_empty=True)

    profile: Profile = Field(default="embedded", validation_alias=shared("ANCHOR_PROFILE"))
    # The models of the profile `embedded`: the default set, or the minimal one.
    models: ModelSet = Field(default="default", validation_alias=shared("ANCHOR_MODELS"))
    # Script of the scripted engines.
    script: Path | None = Field(default=None, validation_alias=shared("ANCHOR_SCRIPT"))
    # Address the orchestrator listens on, and that of the services behind it.
    host: str = Field(default="127.0.0.1", validation_alias=shared("ANCHOR_HOST"))
    internal_host: str = Field(default=INTERNAL_HOST, validation_alias=shared("ANCHOR_INTERNAL_HOST"))
    # The file of the audit log, to which changes of keys are added.
    audit_file: Path | None = Field(default=None, validation_alias=shared("ORCHESTRATOR_AUDIT_FILE"))
    # Secret that the orchestrator requires of its clients.
    shared_secret: SecretStr = Field(default=SecretStr(""), validation_alias=shared("SHARED_SECRET"))
    # The project folder: working directory of the services.
    root: Path = Field(default_factory=Path.cwd, validation_alias=shared("ANCHOR_ROOT"))
    # Folder for the log, the supervisor's files and the mesh lock.
    run_dir: Path = Field(default=Path("run"), validation_alias=shared("ANCHOR_RUN_DIR"))
    # Time for all services together to become ready.
    start_timeout_s: float = Field(default=120, gt=0, le=3600, validation_alias=shared("ANCHOR_START_TIMEOUT_S"))
    # Time for a service to finish after SIGTERM; supervisord waits a little longer before it kills.
    drain_s: float = Field(default=5, ge=0, le=300, validation_alias=shared("ANCHOR_DRAIN_S"))
    # Time beyond that for the turns in progress in the orchestrator.
    turn_grace_s: float = Field(default=10, ge=0, le=30, validation_alias=shared("ORCHESTRATOR_TURN_GRACE_S"))
    # Recorded question of the self-test.
    self_test_wav: Path = Field(
        default=Path("content/questions/demo.wav"), validation_alias=shared("ANCHOR_SELF_TEST_WAV")
    )
    # Folder of the model files, and the lock file that lists them.
    models_dir: Path = Field(default=Path("models"), validation_alias=shared("ANCHOR_MODELS_DIR", "MODEL_CACHE_DIR"))
    models_lock: Path = Field(default=Path("models.lock"), validation_alias=shared("ANCHOR_MODELS_LOCK"))
    # Folder with copies of model files of your own, laid out like the models folder; looked in before any source.
    models_own_dir: Path | None = Field(default=None, validation_alias=shared("ANCHOR_MODELS_OWN_DIR"))
    # What was measured of the engines on this machine.
    machine_profile: Path = Field(
        default=Path("models/machine.json"), validation_alias=shared("ANCHOR_MACHINE_PROFILE")
    )
    # URL of the hub (or a mirror) for models of kind "hub", and the token for models behind a licence.
    models_hub_url: ServerUrl = Field(
        default="https://huggingface.co", validation_alias=shared("ANCHOR_MODELS_HUB_URL")
    )
    models_hub_token: SecretStr = Field(
        default=SecretStr(""), validation_alias=shared("ANCHOR_MODELS_HUB_TOKEN", "HF_TOKEN")
    )
    # The voices that `anchor pull piper` fetches: those that tts-service prefers.
    piper_voices: PiperVoices = Field(
        default=DEFAULT_PIPER_VOICES, validation_alias=shared("TTS_PIPER_VOICES", "PIPER_MODEL_PATH")
    )

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

    llm_http_port: int = Field(default=8006, ge=1, le=65535)

    # The orchestrator's choices, read here because the local model is a process of the mesh.
    llm: str = Field(default="", validation_alias=shared("ORCHESTRATOR_LLM"))
    llm_fallback: str = Field(default="briefing", validation_alias=shared("ORCHESTRATOR_LLM_FALLBACK"))

    # What `anchor backup` saves beside the stored conversations: the content, the index of the knowledge, and the
    # folders of cloned voices.
    personas_dir: Path = Field(default=Path("content/personas"), validation_alias=shared("ORCHESTRATOR_PERSONAS_DIR"))
    knowledge_dir: Path = Field(
        default=Path("content/knowledge"), validation_alias=shared("ORCHESTRATOR_KNOWLEDGE_DIR")
    )
    knowledge_vectors: Path = Field(
        default=Path("models/knowledge-vectors.bin"), validation_alias=shared("ORCHESTRATOR_KNOWLEDGE_VECTORS")
    )
    higgs_voices: Path | None = Field(default=None, validation_alias=shared("TTS_HIGGS_VOICES"))
    csm_voices: Path | None = Field(default=None, validation_alias=shared("TTS_CSM_VOICES"))
    pocket_voices: Path | None = Field(default=None, validation_alias=shared("TTS_POCKET_VOICES"))

    @property
    def runs_local_llm(self) -> bool:
        """Whether the local language model belongs to the mesh: as the model, or as the fallback of another."""
        return "local" in (self.llm, self.llm_fallback)

    @property
    def connect_host(self) -> str:
        """Address at which this machine reaches its own orchestrator."""
        return reachable_host(self.host)

    @property
    def internal_connect_host(self) -> str:
        """Address at which this machine reaches its own other services."""
        return reachable_host(self.internal_host)

    @property
    def address(self) -> str:
        """Base URL of the orchestrator."""
        return f"http://{authority(self.connect_host, self.orchestrator_http_port)}"

    @property
    def audio_url(self) -> str:
        """URL of the native WebSocket."""
        return f"ws://{authority(self.connect_host, self.orchestrator_http_port)}/ws/audio"

    @property
    def authorization(self) -> dict[str, str]:
        """Headers that carry the shared secret to the orchestrator; empty without one."""
        secret = self.shared_secret.get_secret_value()
        return {"Authorization": f"Bearer {secret}"} if secret else {}

    @property
    def run_folder(self) -> Path:
        """`run_dir` as an absolute path."""
        return (self.root / self.run_dir).resolve()
