"""Settings of the tts-service; only this module reads the environment. All defaults are written here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from pydantic_settings import SettingsConfigDict
from service_kit.settings import DEFAULT_PIPER_VOICES, PiperVoices, ServerUrl, ServiceSettings, shared

KokoroUse = Literal["auto", "on", "off"]
HiggsWeights = Literal["bf16", "int8", "fp8"]


# The owner of higgs-audio's repositories on the hub.
_HIGGS_OWNER = "bosonai/"


def _folder_of_pulled_model(value: object) -> object:
    """None, for the folder that `anchor pull` fills, in place of a repository of the hub."""
    return None if isinstance(value, str) and value.startswith(_HIGGS_OWNER) and not Path(value).exists() else value


def _torch_device(value: object) -> object:
    """The device that `auto` stands for: without a GPU, an engine that needs one is replaced by the next."""
    return {"auto": "cuda"}.get(value.lower(), value.lower()) if isinstance(value, str) else value


class TtsSettings(ServiceSettings):
    """Settings of the tts-service; environment variables `TTS_...`."""

    model_config = SettingsConfigDict(env_prefix="TTS_")

    grpc_port: int = Field(default=9083, ge=0, le=65535)
    http_port: int = Field(default=8003, ge=0, le=65535)
    # A name from `engines.ENGINES`; empty for the engines of the profile.
    engine: str = Field(default="")
    # Languages that another engine speaks: ISO 639-1 code to engine name.
    routes: dict[str, str] = Field(default={})
    # Engines that replace one that is lost or fails at a phrase, in this order.
    fallback_engines: tuple[str, ...] = Field(default=())
    # Replies spoken at the same time; more are refused.
    max_streams: int = Field(default=64, ge=1, le=1024)
    # Maximum length of one reply's text, in characters; longer text is refused.
    max_reply_chars: int = Field(default=20_000, ge=1, le=1_000_000)
    # The next phrase is not started while the client has more than this left to play; gRPC's own flow control let 63 s
    # through to a client that did not read.
    max_ahead_s: float = Field(default=10.0, gt=0, le=3600)
    # Maximum length of a phrase, in characters: 160 are about 10 s of speech.
    max_phrase_chars: int = Field(default=160, ge=40, le=2000)
    # When the client has only this much speech left to play, a complete clause is spoken without its sentence.
    low_speech_ms: int = Field(default=300, ge=0, le=10_000)
    # When no text has come for this long and the client has nothing left to play, whole words are spoken.
    text_stall_ms: int = Field(default=400, ge=10, le=60_000)
    # An engine that yields nothing for this long has failed.
    engine_silent_s: float = Field(default=5.0, gt=0, le=300)
    # Speech of phrases spoken before that an engine keeps, in MiB: 1 MiB is 22 s. Of `hibari` and `kokoro`.
    phrase_cache_mib: int = Field(default=8, ge=0, le=1024)
    # Script of the `scripted` engine; see service_kit.engines.script.
    script: Path | None = Field(default=None, validation_alias=shared("ANCHOR_SCRIPT"))

    # Folder of the model files, and the lock file that lists their hashes.
    models_dir: Path = Field(default=Path("models"), validation_alias=shared("ANCHOR_MODELS_DIR", "MODEL_CACHE_DIR"))
    models_lock: Path = Field(default=Path("models.lock"), validation_alias=shared("ANCHOR_MODELS_LOCK"))

    # Whether `kokoro` speaks its languages by default: auto for those for which this machine measured fast enough.
    kokoro: KokoroUse = Field(default="auto")
    # The engine `kokoro`: a folder of the model in place of the verified one, and the threads of one phrase.
    kokoro_model: Path | None = Field(default=None)
    kokoro_threads: int = Field(default=2, ge=1, le=64)

    # The engine `higgs`: folders of the model and of its codec, in the layout of transformers; by default the folders
    # that `anchor pull` fills.
    higgs_model: Annotated[Path | None, BeforeValidator(_folder_of_pulled_model)] = Field(
        default=None, validation_alias=shared("TTS_HIGGS_MODEL", "HIGGS_AUDIO_MODEL_PATH")
    )
    higgs_codec: Path | None = Field(default=None)
    # Folder for cloned voices and for the references of the built-in voice; without it the engine cannot clone.
    higgs_voices: Path | None = Field(default=None)
    # Multi-speaker voices: ids of cloned voices joined by +. Each speaks the text behind its tag ([SPEAKER0], ...).
    higgs_casts: tuple[str, ...] = Field(default=())
    # A torch device: cuda, cuda:1, cpu.
    higgs_device: Annotated[str, BeforeValidator(_torch_device)] = Field(
        default="cuda", validation_alias=shared("TTS_HIGGS_DEVICE", "DEVICE")
    )
    # Weight format of the layers; converted from the bf16 files while loading. fp8 needs Ada, Hopper or later.
    higgs_weights: HiggsWeights = Field(default="bf16")
    # Phrases spoken at the same time; each takes 112 KiB of memory per token of context.
    higgs_slots: int = Field(default=4, ge=1, le=64)
    # Context of one phrase, in tokens: speech takes 25 tokens a second, a voice as many as its recording.
    higgs_context_tokens: int = Field(default=1536, ge=256, le=8192)
    # Sampling temperature: lower is steadier.
    higgs_temperature: float = Field(default=0.3, gt=0, le=2)
    # The same seed, text and voice give the same speech; the built-in voice follows it.
    higgs_seed: int = Field(default=1, ge=0, le=2**63 - 1)
    # Whether the engine starts parked and loads the model when it is first woken, by a session or by hand.
    higgs_lazy: bool = Field(default=False)

    # The engine `piper`: URL of its server, and the preferred voices, one per language.
    piper_url: ServerUrl = Field(default="http://127.0.0.1:5000")
    piper_voices: PiperVoices = Field(
        default=DEFAULT_PIPER_VOICES, validation_alias=shared("TTS_PIPER_VOICES", "PIPER_MODEL_PATH")
    )
    # Timeouts of connecting, and of one whole phrase.
    piper_connect_s: float = Field(default=1.0, gt=0, le=60)
    piper_phrase_s: float = Field(default=4.0, gt=0, le=300)
    # Concurrent requests to the server; more phrases wait.
    piper_places: int = Field(default=4, ge=1, le=64)

    # The engine `pocket-tts`: folder with config.yaml, weights and tokenizer of one language, and its voices.
    pocket_model: Path | None = Field(default=None)
    # Folder for cloned voices; without it the engine cannot clone.
    pocket_voices: Path | None = Field(default=None)
    # ISO 639-1 code of the language that the model speaks.
    pocket_language: str = Field(default="en", pattern="^[a-z]{2}$")
    # Phrases spoken at the same time; they share the weights.
    pocket_slots: int = Field(default=1, ge=1, le=16)
    # Sampling temperature; None takes the value of config.yaml.
    pocket_temperature: float | None = Field(default=None, gt=0, le=2)
    # With one slot, the same seed, text and voice give the same speech.
    pocket_seed: int = Field(default=1, ge=0, le=2**63 - 1)

    # The engine `csm`: folder of the model in the layout of transformers, its codec included.
    csm_model: Path | None = Field(default=None)
    # Folder for cloned voices; without it the engine cannot clone.
    csm_voices: Path | None = Field(default=None)
    # A torch device: cuda, cuda:1, cpu.
    csm_device: Annotated[str, BeforeValidator(_torch_device)] = Field(
        default="cuda", validation_alias=shared("TTS_CSM_DEVICE", "DEVICE")
    )
    # Sampling temperature: lower is steadier.
    csm_temperature: float = Field(default=0.9, gt=0, le=2)
    # The same seed, text and voice give the same speech.
    csm_seed: int = Field(default=1, ge=0, le=2**63 - 1)
