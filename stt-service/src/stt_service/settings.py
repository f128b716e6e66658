"""Settings of the stt-service."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import SettingsConfigDict
from service_kit.settings import ServerUrl, ServiceSettings, shared

WhisperComputeType = Literal[
    "auto",
    "default",
    "int8",
    "int8_float32",
    "int8_float16",
    "int8_bfloat16",
    "int16",
    "float16",
    "bfloat16",
    "float32",
]


# Streams of a recogniser whose speed is unknown.
_UNMEASURED_STREAMS = 4


def _device_type(device: object) -> object:
    """The kind of a device, without its number: `cuda` of `cuda:0`, as torch writes it."""
    return device.lower().partition(":")[0] if isinstance(device, str) else device


class SttSettings(ServiceSettings):
    """Settings of one stt-service, read from environment variables with the prefix `STT_`."""

    model_config = SettingsConfigDict(env_prefix="STT_")

    grpc_port: int = Field(default=9081, ge=0, le=65535)
    http_port: int = Field(default=8001, ge=0, le=65535)

    # A name from `app.ENGINES`; empty for the profile's engine.
    engine: str = Field(default="")
    # Most microphone streams at one time; a further one takes the slot of an idle one, or is refused. `auto` is twice
    # as many as this machine was measured to transcribe, since not all of them speak.
    max_streams: Annotated[int, Field(ge=1, le=1024)] | Literal["auto"] = "auto"
    # A longer segment is an error; clients commit long before.
    max_segment_s: float = Field(default=600, gt=0)
    # Shortest time between two partial transcripts, on the audio clock; a slower model gives fewer.
    partial_interval_ms: int = Field(default=200, ge=0)
    # An utterance without a flush ends after this much audio, and another begins.
    max_utterance_s: float = Field(default=60, gt=1)
    # The script of the scripted engine.
    script: Path | None = Field(default=None, validation_alias=shared("ANCHOR_SCRIPT"))

    # pocketsphinx: the folder its vocabulary is built from, and the folder where the built models are cached; unset for
    # the folder `pocketsphinx` in the models folder.
    knowledge_dir: Path = Field(default=Path("content/knowledge"))
    cache_dir: Path | None = Field(default=None)
    models_dir: Path = Field(default=Path("models"), validation_alias=shared("ANCHOR_MODELS_DIR", "MODEL_CACHE_DIR"))
    models_lock: Path = Field(default=Path("models.lock"), validation_alias=shared("ANCHOR_MODELS_LOCK"))
    # pocketsphinx: pairs of decoder processes; streams are spread over them.
    worker_pairs: int = Field(default=1, ge=1, le=64)
    # pocketsphinx: how long a final waits for the general decoder once the topical one has finished.
    second_opinion_ms: int = Field(default=150, ge=0)

    # voxtral, voxtral-realtime, whisper: an utterance with less speech than this counts as noise.
    min_speech_ms: int = Field(default=120, ge=0)

    # voxtral: base URL, including the version, of a server with OpenAI's audio transcriptions API, such as vLLM.
    voxtral_url: ServerUrl = Field(default="http://127.0.0.1:8000/v1")
    # voxtral: the model's name at the server.
    voxtral_model: str = Field(default="voxtral")
    voxtral_api_key: SecretStr = Field(default=SecretStr(""))
    # voxtral: how long the server may take to start, load the model and transcribe a first clip.
    voxtral_start_s: float = Field(default=900, gt=0)
    voxtral_connect_s: float = Field(default=1, gt=0)
    # voxtral: how long a final and a partial may take, from request to last word.
    voxtral_final_s: float = Field(default=8, gt=0)
    voxtral_partial_s: float = Field(default=3, gt=0)
    # voxtral: most clips at the server at one time.
    voxtral_places: int = Field(default=4, ge=1, le=1024)

    # voxtral-realtime: base URL, including the version, of a server with vLLM's realtime protocol.
    voxtral_realtime_url: ServerUrl = Field(default="http://127.0.0.1:8000/v1")
    # voxtral-realtime: the model's name at the server.
    voxtral_realtime_model: str = Field(default="voxtral-realtime")
    voxtral_realtime_api_key: SecretStr = Field(default=SecretStr(""))
    # voxtral-realtime: how long the server may take to start, load the model and transcribe a first clip.
    voxtral_realtime_start_s: float = Field(default=900, gt=0)
    voxtral_realtime_connect_s: float = Field(default=1, gt=0)
    # voxtral-realtime: how long the first step may take after a second of speech, and accepting audio at any time.
    voxtral_realtime_first_s: float = Field(default=3, gt=0)
    # voxtral-realtime: how long the last words may take after the end of the audio.
    voxtral_realtime_final_s: float = Field(default=4, gt=0)
    # voxtral-realtime: an utterance up to this long that continues after a flush is transcribed again from its start.
    voxtral_realtime_again_s: float = Field(default=20, ge=0)

    # whisper: folder of a model converted for CTranslate2, relative to the models folder, or the name of a size that is
    # there (`small` or `Systran/faster-whisper-small` for the folder `whisper-small`); empty for the model store's.
    whisper_model: Path | None = Field(default=None, validation_alias=shared("STT_WHISPER_MODEL", "WHISPER_MODEL"))
    # whisper: `auto` is cuda where CTranslate2 finds a GPU.
    whisper_device: Annotated[Literal["auto", "cpu", "cuda"], BeforeValidator(_device_type)] = Field(
        default="cpu", validation_alias=shared("STT_WHISPER_DEVICE", "DEVICE")
    )
    # whisper: number type of the computation; `auto` is int8 on the CPU and float16 on a GPU, `default` the type the
    # weights were saved in.
    whisper_compute_type: WhisperComputeType = Field(
        default="auto", validation_alias=shared("STT_WHISPER_COMPUTE_TYPE", "COMPUTE_TYPE")
    )
    # whisper: CPU threads of one transcription; 0 for the library's choice.
    whisper_threads: int = Field(default=1, ge=0, le=256)
    # whisper: finals transcribed at one time; 0 for one a core, two at most.
    whisper_workers: int = Field(default=0, ge=0, le=16)
    # whisper: beam size for finals; partials use 1.
    whisper_beam_size: int = Field(default=1, ge=1, le=16)
    # whisper: whether finals have word times, which take one more pass over the attention.
    whisper_word_times: bool = Field(default=True)

    @property
    def least_streams(self) -> int:
        """The number of streams in the settings, or for `auto` the one of a recogniser that was not measured."""
        return _UNMEASURED_STREAMS if self.max_streams == "auto" else self.max_streams
