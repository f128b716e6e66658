"""Settings of the tts-service; the environment is read here and nowhere else."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import SettingsConfigDict
from service_kit.settings import ServiceSettings, shared

HiggsWeights = Literal["bf16", "int8", "fp8"]


class TtsSettings(ServiceSettings):
    """What the tts-service can be told."""

    model_config = SettingsConfigDict(env_prefix="TTS_")

    grpc_port: int = Field(default=9083, ge=0, le=65535)
    http_port: int = Field(default=8003, ge=0, le=65535)
    # A name from `engines.ENGINES`; empty for those of the profile.
    engine: str = Field(default="")
    # Languages that another engine speaks: ISO 639-1 code to name.
    routes: dict[str, str] = Field(default={})
    # Who steps in for an engine that is lost or fails at a phrase, in this order.
    fallback_engines: tuple[str, ...] = Field(default=())
    # Replies spoken at the same time; a further one is refused.
    max_streams: int = Field(default=64, ge=1, le=1024)
    # Text of one reply, in characters; more is refused.
    max_reply_chars: int = Field(default=20_000, ge=1, le=1_000_000)
    # The next phrase is not begun while the listener has more than this to hear, if played at once; gRPC's own flow
    # control let 63 s through to a client that did not read.
    max_ahead_s: float = Field(default=10.0, gt=0, le=3600)
    # Text given to the engine at once, in characters: 160 are about 10 s of speech.
    max_phrase_chars: int = Field(default=160, ge=40, le=2000)
    # With this much speech left at the listener, a finished clause is spoken without waiting for its sentence.
    low_speech_ms: int = Field(default=300, ge=0, le=10_000)
    # When no text has come for so long, and the listener has nothing left, what stands there is spoken.
    text_stall_ms: int = Field(default=400, ge=10, le=60_000)
    # An engine that gives nothing for so long has failed.
    engine_silent_s: float = Field(default=5.0, gt=0, le=300)
    # Script of the `scripted` engine; see service_kit.engines.script.
    script: Path | None = Field(default=None, validation_alias=shared("ANCHOR_SCRIPT"))

    # Where model files are, and the list that names them.
    models_dir: Path = Field(default=Path("models"), validation_alias=shared("ANCHOR_MODELS_DIR"))
    models_lock: Path = Field(default=Path("models.lock"), validation_alias=shared("ANCHOR_MODELS_LOCK"))

    # The engine `higgs`: folders of the model and of its codec, in the layout of transformers; without them those that
    # `anchor pull` fills.
    higgs_model: Path | None = Field(default=None)
    higgs_codec: Path | None = Field(default=None)
    # Where added voices are kept; without it none can be added.
    higgs_voices: Path | None = Field(default=None)
    # Voices that speak one text together, each what stands behind its tag ([SPEAKER0], ...): ids joined by +.
    higgs_casts: tuple[str, ...] = Field(default=())
    # A name that torch knows: cuda, cuda:1, cpu.
    higgs_device: str = Field(default="cuda")
    # What the layers are kept in; made of the bf16 files while they are loaded. fp8 wants Ada, Hopper or later.
    higgs_weights: HiggsWeights = Field(default="bf16")
    # Phrases spoken at the same time; each takes 112 KiB of memory for every token of context.
    higgs_slots: int = Field(default=4, ge=1, le=64)
    # Voice, text and speech of one phrase, in tokens: speech takes 25 a second, a voice as much as its recording.
    higgs_context_tokens: int = Field(default=1536, ge=256, le=8192)
    # How freely it speaks: lower is steadier.
    higgs_temperature: float = Field(default=0.3, gt=0, le=2)
    # The same text in the same voice is spoken the same way for the same seed.
    higgs_seed: int = Field(default=1, ge=0, le=2**63 - 1)
    # Whether it begins parked, and takes its memory when it is first woken: by a session, or by hand.
    higgs_lazy: bool = Field(default=False)

    # The engine `piper`: its server, and the voice that each of its languages begins with.
    piper_url: str = Field(default="http://127.0.0.1:5000")
    piper_voices: tuple[str, ...] = Field(default=("hi_IN-rohan-medium",))
    # How long connecting may take, and a phrase as a whole.
    piper_connect_s: float = Field(default=1.0, gt=0, le=60)
    piper_phrase_s: float = Field(default=4.0, gt=0, le=300)
    # Phrases that the server may have at one time; more wait.
    piper_places: int = Field(default=4, ge=1, le=64)

    # The engine `pocket-tts`: folder with config.yaml, weights and tokenizer of one language, and its voices.
    pocket_model: Path | None = Field(default=None)
    # Where added voices are kept; without it none can be added.
    pocket_voices: Path | None = Field(default=None)
    # ISO 639-1 code of the language that the model speaks.
    pocket_language: str = Field(default="en", pattern="^[a-z]{2}$")
    # Phrases spoken at the same time; they share the weights.
    pocket_slots: int = Field(default=1, ge=1, le=16)
    # How freely it speaks; without it as its configuration says.
    pocket_temperature: float | None = Field(default=None, gt=0, le=2)
    # With one slot, the same text in the same voice is spoken the same way for the same seed.
    pocket_seed: int = Field(default=1, ge=0, le=2**63 - 1)

    # The engine `csm`: folder of the model in the layout of transformers, its codec included.
    csm_model: Path | None = Field(default=None)
    # Where added voices are kept; without it none can be added.
    csm_voices: Path | None = Field(default=None)
    # A name that torch knows: cuda, cuda:1, cpu.
    csm_device: str = Field(default="cuda")
    # How freely it speaks: lower is steadier.
    csm_temperature: float = Field(default=0.9, gt=0, le=2)
    # The same text in the same voice is spoken the same way for the same seed.
    csm_seed: int = Field(default=1, ge=0, le=2**63 - 1)
