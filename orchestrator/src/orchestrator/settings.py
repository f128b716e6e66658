"""Settings of the orchestrator."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import SettingsConfigDict
from service_kit.http.api_keys import parse_api_keys
from service_kit.settings import ServerUrl, ServiceSettings, shared

from orchestrator.api.audio.resampler import MAX_RATE_HZ, MIN_RATE_HZ
from orchestrator.api.limits import ApiLimits
from orchestrator.audio_filters.build import AutoGain, NoiseSuppression
from orchestrator.conversation.model.conversation import (
    AUTOMATIC,
    MAX_BARGE_IN_STOP_MS,
    MAX_BARGE_IN_WORDS,
    MIN_BARGE_IN_STOP_MS,
    MIN_BARGE_IN_WORDS,
)
from orchestrator.conversation.turns.turn import TurnRules
from orchestrator.knowledge.personas import DEFAULT_PERSONA
from orchestrator.knowledge.retriever import MIN_SCORE
from orchestrator.llm.briefing.engine import MAX_WORDS

# Defaults come from the code that uses them.
_TURNS = TurnRules()

LlmName = Literal["briefing", "local", "ollama", "openai", "scripted"]


def _checked_keys(entries: tuple[str, ...]) -> tuple[str, ...]:
    parse_api_keys(entries)
    return entries


class OrchestratorSettings(ServiceSettings):
    """Settings from `ORCHESTRATOR_*` and from the names that all services share."""

    model_config = SettingsConfigDict(env_prefix="ORCHESTRATOR_")

    # Address of the client APIs.
    host: str = Field(default="127.0.0.1", validation_alias=shared("ANCHOR_HOST"))
    grpc_port: int = Field(default=9080, ge=0, le=65535)
    http_port: int = Field(default=8080, ge=0, le=65535)

    # Required from every client; without it, the orchestrator serves this machine only.
    shared_secret: SecretStr | None = Field(default=None, validation_alias=shared("SHARED_SECRET"))
    # Further keys of clients, as `anchor keys` writes them: ["name:talk+voices:sha256:sessions=4:minute=60"].
    api_keys: Annotated[tuple[str, ...], AfterValidator(_checked_keys)] = ()
    # A file that the audit log is written to as well, beside the log; unset for none.
    audit_file: Path | None = None
    # Declares that the ports are published on the host's loopback only, as in compose.yaml, whatever the bind address:
    # no secret is required then, and only loopback's names and `hosts` are accepted as host names.
    published_on_loopback: bool = False
    # Additional origins and host names that are accepted, as JSON: ["https://studio.example"].
    origins: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    max_sessions: int = Field(default=100, ge=1, validation_alias=shared("MAX_CONCURRENT_SESSIONS"))
    # Callers who may speak at a time, and how many may wait for that; `auto` computes the first from the measured speed
    # of the engines, and from their streams and slots.
    max_speakers: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    max_waiting: int = Field(default=100, ge=0)
    # Replies that Ollama generates at a time, for `auto`.
    ollama_slots: int = Field(default=2, ge=1, validation_alias=shared("OLLAMA_NUM_PARALLEL"))

    # Microphone sample rate of streaming clients that declare none.
    microphone_rate_hz: int = Field(
        default=ApiLimits().microphone_rate_hz, ge=MIN_RATE_HZ, le=MAX_RATE_HZ, validation_alias=shared("SAMPLE_RATE")
    )
    # Where conversations are stored: `off`, or the URL of a database. SQLite is a file, PostgreSQL needs an extra.
    store: SecretStr = SecretStr("sqlite:///data/conversations.db")
    # How long a stored conversation is kept after its last use, in days.
    store_retention_days: int = Field(default=30, ge=1, le=3_650)
    # How long a session waits for a client that disconnected, in seconds; 0 ends the session at once.
    resume_s: float = Field(default=30.0, ge=0, le=600)
    # How long sessions may go on with the turn in progress after SIGTERM, in seconds; 0 ends them at once.
    turn_grace_s: float = Field(default=10.0, ge=0, le=30, validation_alias=shared("ORCHESTRATOR_TURN_GRACE_S"))
    # Audio filters of the microphone: strength of noise suppression, and the loudness in dBFS of automatic gain.
    noise_suppression: NoiseSuppression = "off"
    auto_gain: AutoGain = "off"
    # Latency budget from the end of speech to the first frame sent; a slower turn is counted and logged.
    latency_budget_ms: int = Field(default=_TURNS.latency_budget_ms, ge=1, validation_alias=shared("MAX_LATENCY_MS"))

    # Addresses of the other services.
    vad_target: str = Field(default="127.0.0.1:9082", validation_alias=shared("VAD_TARGET"))
    stt_target: str = Field(default="127.0.0.1:9081", validation_alias=shared("STT_TARGET"))
    tts_target: str = Field(default="127.0.0.1:9083", validation_alias=shared("TTS_TARGET"))
    gpu_target: str = Field(default="127.0.0.1:9084", validation_alias=shared("GPU_TARGET"))
    # TTS failover: another tts-service that continues a reply when the first fails; empty for none, and captions then.
    tts_fallback_target: str = Field(default="", validation_alias=shared("TTS_FALLBACK_TARGET"))
    vad_health_url: ServerUrl = Field(default="http://127.0.0.1:8002", validation_alias=shared("VAD_HEALTH_URL"))
    stt_health_url: ServerUrl = Field(default="http://127.0.0.1:8001", validation_alias=shared("STT_HEALTH_URL"))
    tts_health_url: ServerUrl = Field(default="http://127.0.0.1:8003", validation_alias=shared("TTS_HEALTH_URL"))
    gpu_health_url: ServerUrl = Field(default="http://127.0.0.1:8004", validation_alias=shared("GPU_HEALTH_URL"))

    # Language model engine; empty for the profile's default.
    llm: LlmName | Literal[""] = ""
    # What answers while the language model fails; `local` runs the local model's process, with the briefing behind it.
    llm_fallback: Literal["briefing", "local"] = "briefing"
    # Time to the first token, allowed twice, before the briefing answers instead of the language model; unset for
    # 1.5 s, and 3.5 s in the CPU profile. More than 3.9 s is allowed once. The persona's `one_moment` bridges the wait.
    llm_first_token_s: float | None = Field(default=None, gt=0, le=120)
    # Minutes without a session after which all engines that support it are parked; 0 for never.
    park_after_min: float = Field(default=0, ge=0, le=10_080)
    # Longest reply, in characters.
    max_reply_chars: int = Field(default=4_000, ge=100, le=100_000)

    # The briefing: the lowest score of a passage that is read out, its length in words, and the time zone of spoken
    # times (IANA name; empty for this machine's).
    briefing_min_score: float = Field(default=MIN_SCORE, ge=0)
    briefing_max_words: int = Field(default=MAX_WORDS, ge=10, le=1_000)
    time_zone: str = ""

    # Content edited by users.
    knowledge_dir: Path = Path("content/knowledge")
    # The vectors of the knowledge, a cache that is computed again when it is missing.
    knowledge_vectors: Path = Path("models/knowledge-vectors.bin")
    personas_dir: Path = Path("content/personas")
    web_dir: Path = Path("web/dist")
    persona: str = DEFAULT_PERSONA
    # Speaks where neither the client nor the persona names a voice of the language; empty for the engine's own.
    voice: str = Field(default="", validation_alias=shared("ORCHESTRATOR_VOICE", "TTS_VOICE"))
    # ISO 639-1, or `auto`: the language that is heard.
    language: str = AUTOMATIC

    # Endpointing: the shortest and longest end-of-turn wait, and the wait without a prediction.
    endpointing_floor_ms: int = Field(default=_TURNS.endpointing.floor_ms, ge=100, le=3_000)
    endpointing_ceiling_ms: int = Field(default=_TURNS.endpointing.ceiling_ms, ge=100, le=3_000)
    endpointing_unjudged_ms: int = Field(default=_TURNS.endpointing.unjudged_ms, ge=100, le=3_000)
    # How fast the wait falls as the prediction becomes certain: the exponent of the doubt.
    endpointing_steepness: float = Field(default=_TURNS.endpointing.steepness, ge=0.5, le=10)
    # Factor on the waits for users who choose none: 0.5 (brisk) to 2 (patient).
    patience: float = Field(default=_TURNS.patience, ge=0.5, le=2)
    # Speculation: replies started before a turn is over, and the voiced length up to which they are started.
    speculation_tries: int = Field(default=_TURNS.max_speculations, ge=0, le=10)
    speculation_speech_ms: int = Field(default=_TURNS.speculation_speech_ms, ge=0, le=60_000)

    # Barge-in thresholds: speech of `stop_ms` stops the reply with or without words, speech of `hold_ms` even when its
    # transcript is only backchannels or echo; a sound below `min_speech_ms` is too short for a single word; fewer than
    # `min_words` do not stop it.
    barge_in_stop_ms: int = Field(default=_TURNS.barge_in.stop_ms, ge=MIN_BARGE_IN_STOP_MS, le=MAX_BARGE_IN_STOP_MS)
    barge_in_hold_ms: int = Field(default=_TURNS.barge_in.hold_ms, ge=200, le=5_000)
    barge_in_min_speech_ms: int = Field(default=_TURNS.barge_in.min_speech_ms, ge=0, le=1_000)
    barge_in_min_words: int = Field(default=_TURNS.barge_in.min_words, ge=MIN_BARGE_IN_WORDS, le=MAX_BARGE_IN_WORDS)
    # Time into a session's first reply during which no sound pauses it: the client's echo canceller is adapting.
    barge_in_settling_ms: int = Field(default=_TURNS.barge_in.settling_ms, ge=0, le=500)
    # Acoustic echo suppression: whether the anchor's own voice is looked for in the microphone.
    echo_defence: Literal["on", "off"] = "on"

    @property
    def client_host(self) -> str:
        """The address at which clients reach the APIs: the bind address, or loopback when only that is published."""
        return "127.0.0.1" if self.published_on_loopback else self.host

    @property
    def llm_engine(self) -> LlmName:
        """The language model engine, by setting or by profile."""
        if self.llm:
            return self.llm
        return "briefing" if self.profile == "embedded" else "ollama"

    @property
    def llm_slots(self) -> int | None:
        """Replies that the language model engine generates at a time; None where nothing limits them."""
        return self.ollama_slots if self.llm_engine == "ollama" else None

    @property
    def own_max_speakers(self) -> int | None:
        """The user's own number of callers who may speak at a time; None to compute it."""
        return None if self.max_speakers == "auto" else self.max_speakers

    @property
    def first_token_s(self) -> float:
        """Time allowed to a language model's first token, in seconds."""
        if self.llm_first_token_s is not None:
            return self.llm_first_token_s
        return 3.5 if self.profile == "cpu" else 1.5
