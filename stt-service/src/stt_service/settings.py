"""The settings of stt-service."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict
from service_kit.settings import ServiceSettings, shared


class SttSettings(ServiceSettings):
    """Everything that can be set from outside; `STT_` and the upper-case name, where no other name stands."""

    model_config = SettingsConfigDict(env_prefix="STT_")

    grpc_port: int = Field(default=9081, ge=0, le=65535)
    http_port: int = Field(default=8001, ge=0, le=65535)

    # A name from `app.ENGINES`; empty for that of the profile.
    engine: str = Field(default="")
    # Microphones at one time; a further one is refused.
    max_streams: int = Field(default=4, ge=1, le=1024)
    # A segment longer than this is an error; a client commits long before.
    max_segment_s: float = Field(default=600, gt=0)
    # Shortest time between two partial transcripts, on the audio clock; with models that are slower, they are rarer.
    partial_interval_ms: int = Field(default=200, ge=0)
    # An utterance without a flush is closed after this much audio, and another begun.
    max_utterance_s: float = Field(default=60, gt=1)
    # What the scripted engines play.
    script: Path | None = Field(default=None, validation_alias=shared("ANCHOR_SCRIPT"))

    # pocketsphinx: where the words of this newsroom come from, and where what was built of them is kept.
    knowledge_dir: Path = Field(default=Path("content/knowledge"))
    models_dir: Path = Field(default=Path("models"), validation_alias=shared("ANCHOR_MODELS_DIR"))
    # pocketsphinx: pairs of decoder processes; streams are spread over them.
    worker_pairs: int = Field(default=1, ge=1, le=64)
    # pocketsphinx: how long a final waits for the second opinion once the first one is there.
    second_opinion_ms: int = Field(default=150, ge=0)

    # voxtral, voxtral-realtime, faster-whisper: an utterance with less speech than this is taken for noise.
    min_speech_ms: int = Field(default=120, ge=0)

    # voxtral: a server that speaks OpenAI's audio transcriptions, up to and including the version; vLLM's stock one.
    voxtral_url: str = Field(default="http://127.0.0.1:8000/v1")
    # voxtral: the model, as the server names it.
    voxtral_model: str = Field(default="voxtral")
    voxtral_api_key: SecretStr = Field(default=SecretStr(""))
    # voxtral: how long the server may take to start, with the model loaded and a first clip transcribed.
    voxtral_start_s: float = Field(default=900, gt=0)
    voxtral_connect_s: float = Field(default=1, gt=0)
    # voxtral: how long a final and a partial may take, from the request to the last word.
    voxtral_final_s: float = Field(default=8, gt=0)
    voxtral_partial_s: float = Field(default=3, gt=0)
    # voxtral: clips that the server may have at one time.
    voxtral_places: int = Field(default=4, ge=1, le=1024)

    # voxtral-realtime: a server that speaks vLLM's realtime protocol, up to and including the version.
    voxtral_realtime_url: str = Field(default="http://127.0.0.1:8000/v1")
    # voxtral-realtime: the model, as the server names it.
    voxtral_realtime_model: str = Field(default="voxtral-realtime")
    voxtral_realtime_api_key: SecretStr = Field(default=SecretStr(""))
    # voxtral-realtime: how long the server may take to start, with the model loaded and a first clip transcribed.
    voxtral_realtime_start_s: float = Field(default=900, gt=0)
    voxtral_realtime_connect_s: float = Field(default=1, gt=0)
    # voxtral-realtime: how long its first step may take once a second of speech is there, and taking audio at any time.
    voxtral_realtime_first_s: float = Field(default=3, gt=0)
    # voxtral-realtime: how long the last words may take once the audio is over.
    voxtral_realtime_final_s: float = Field(default=4, gt=0)
    # voxtral-realtime: an utterance that goes on after a flush is heard again from its beginning while not longer.
    voxtral_realtime_again_s: float = Field(default=20, ge=0)

    # faster-whisper: a folder with a model converted for CTranslate2; relative to the models folder.
    whisper_model: Path = Field(default=Path("whisper"))
    whisper_device: Literal["cpu", "cuda"] = Field(default="cpu")
    # faster-whisper: how the weights are computed with; `default` takes them as they were saved.
    whisper_compute_type: Literal["default", "int8", "int8_float16", "float16", "bfloat16", "float32"] = Field(
        default="default"
    )
    # faster-whisper: processor threads of one transcription; 0 for the library's choice.
    whisper_threads: int = Field(default=0, ge=0, le=256)
    # faster-whisper: readings weighed against each other for a final; partials weigh one.
    whisper_beam_size: int = Field(default=5, ge=1, le=16)
    # faster-whisper: whether finals say when each word was said, which takes one more pass over the attention.
    whisper_word_times: bool = Field(default=True)
