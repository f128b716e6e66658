"""Settings of the orchestrator."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict
from service_kit.settings import ServiceSettings, shared

from orchestrator.api.audio.resampler import MAX_RATE_HZ, MIN_RATE_HZ
from orchestrator.api.limits import ApiLimits
from orchestrator.audio_filters.build import AutoGain, NoiseSuppression
from orchestrator.knowledge.personas import DEFAULT_PERSONA
from orchestrator.llm.briefing.engine import MAX_WORDS, MIN_SCORE

LlmName = Literal["briefing", "ollama", "openai", "scripted"]


class OrchestratorSettings(ServiceSettings):
    """Read from `ORCHESTRATOR_*`, and from the names that all services share."""

    model_config = SettingsConfigDict(env_prefix="ORCHESTRATOR_")

    grpc_port: int = Field(default=9080, ge=0, le=65535)
    http_port: int = Field(default=8080, ge=0, le=65535)

    # Asked of every client; without it, the orchestrator serves this machine only.
    shared_secret: SecretStr | None = Field(default=None, validation_alias=shared("SHARED_SECRET"))
    # Says that whatever address it listens on, its ports are published on the host's loopback only, as in compose.yaml:
    # then it needs no secret, and answers to loopback's names and `hosts` alone.
    published_on_loopback: bool = False
    # Foreign origins and host names that are welcome, comma-separated in JSON form: ["https://studio.example"].
    origins: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    max_sessions: int = Field(default=100, ge=1, validation_alias=shared("MAX_CONCURRENT_SESSIONS"))

    # Rate of the microphone of a streaming client that declares none.
    microphone_rate_hz: int = Field(
        default=ApiLimits().microphone_rate_hz, ge=MIN_RATE_HZ, le=MAX_RATE_HZ, validation_alias=shared("SAMPLE_RATE")
    )
    # How long a session waits for a client whose line dropped, in seconds; 0 for not at all.
    resume_s: float = Field(default=30.0, ge=0, le=600)
    # What microphones are heard through: how strongly noise is suppressed, and the loudness in dBFS that quiet speech
    # is brought to.
    noise_suppression: NoiseSuppression = "off"
    auto_gain: AutoGain = "off"
    # What a turn may take from the end of speech to the first frame sent; a slower one is counted and logged.
    latency_budget_ms: int = Field(default=2_000, ge=1, validation_alias=shared("MAX_LATENCY_MS"))

    # Where the other services are.
    vad_target: str = Field(default="127.0.0.1:9082", validation_alias=shared("VAD_TARGET"))
    stt_target: str = Field(default="127.0.0.1:9081", validation_alias=shared("STT_TARGET"))
    tts_target: str = Field(default="127.0.0.1:9083", validation_alias=shared("TTS_TARGET"))
    gpu_target: str = Field(default="127.0.0.1:9084", validation_alias=shared("GPU_TARGET"))
    # Another tts-service, which speaks on when the first has broken in mid-reply; empty for none, and captions then.
    tts_fallback_target: str = Field(default="", validation_alias=shared("TTS_FALLBACK_TARGET"))
    vad_health_url: str = Field(default="http://127.0.0.1:8002", validation_alias=shared("VAD_HEALTH_URL"))
    stt_health_url: str = Field(default="http://127.0.0.1:8001", validation_alias=shared("STT_HEALTH_URL"))
    tts_health_url: str = Field(default="http://127.0.0.1:8003", validation_alias=shared("TTS_HEALTH_URL"))
    gpu_health_url: str = Field(default="http://127.0.0.1:8004", validation_alias=shared("GPU_HEALTH_URL"))

    # What thinks; empty for the profile's own.
    llm: LlmName | Literal[""] = ""
    # How long a language model may take to its first token, twice, before the briefing answers in its place; absent
    # for 1.5 s, and 3.5 s where a processor does the thinking.
    llm_first_token_s: float | None = Field(default=None, gt=0, le=3.9)
    # After how many minutes without a session all engines that can give their memory back; 0 for never.
    park_after_min: float = Field(default=0, ge=0, le=10_080)
    # Longest reply, in characters.
    max_reply_chars: int = Field(default=4_000, ge=100, le=100_000)

    # The briefing: the least score of a passage worth telling, its length in words, and the zone whose time it tells
    # (IANA name; empty for this machine's own).
    briefing_min_score: float = Field(default=MIN_SCORE, ge=0)
    briefing_max_words: int = Field(default=MAX_WORDS, ge=10, le=1_000)
    time_zone: str = ""

    # Content that users edit.
    knowledge_dir: Path = Path("content/knowledge")
    personas_dir: Path = Path("content/personas")
    web_dir: Path = Path("web/dist")
    persona: str = DEFAULT_PERSONA
    language: str = "en"

    # Endpointing: shortest and longest silence that ends a turn, and the one without any prediction.
    endpointing_floor_ms: int = Field(default=300, ge=100, le=3_000)
    endpointing_ceiling_ms: int = Field(default=3_000, ge=100, le=3_000)
    endpointing_unjudged_ms: int = Field(default=700, ge=100, le=3_000)
    # How fast the wait falls as the prediction grows sure: the power of the doubt.
    endpointing_steepness: float = Field(default=2.0, ge=0.5, le=10)
    # How far all these waits are stretched for users who do not say: 0.5 (brisk) to 2 (patient).
    patience: float = Field(default=1.0, ge=0.5, le=2)
    # Replies begun before a turn is over: how many for one turn, and how much of it may have been voiced by then.
    speculation_tries: int = Field(default=3, ge=0, le=10)
    speculation_speech_ms: int = Field(default=10_000, ge=0, le=60_000)

    # Speech over a reply: how long it stops it, words or no words; how long it is waited on when all that it says is a
    # listener's "mhm" or the anchor's own words; what is too short for a single word; and the fewest words that stop.
    barge_in_stop_ms: int = Field(default=500, ge=100, le=3_000)
    barge_in_hold_ms: int = Field(default=1_000, ge=200, le=5_000)
    barge_in_min_speech_ms: int = Field(default=180, ge=0, le=1_000)
    barge_in_min_words: int = Field(default=1, ge=1, le=10)
    # How long into a session's first reply no sound pauses it: its client's echo canceller still learns.
    barge_in_settling_ms: int = Field(default=300, ge=0, le=500)
    # Whether the anchor's own voice is looked for in the microphone, by its sound.
    echo_defence: Literal["on", "off"] = "on"

    @property
    def reached_at(self) -> str:
        """The address at which clients reach the doors: the one listened on, unless only loopback leads there."""
        return "127.0.0.1" if self.published_on_loopback else self.host

    @property
    def llm_engine(self) -> LlmName:
        """What thinks, by setting or by profile."""
        if self.llm:
            return self.llm
        return "briefing" if self.profile == "embedded" else "ollama"

    @property
    def first_token_s(self) -> float:
        """How long a language model may take to its first token."""
        if self.llm_first_token_s is not None:
            return self.llm_first_token_s
        return 3.5 if self.profile == "cpu" else 1.5
