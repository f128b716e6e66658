"""The settings of stt-service."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict
from service_kit.settings import ServiceSettings, shared


class SttSettings(ServiceSettings):
    """Everything that can be set from outside; `STT_` and the upper-case name, where no other name stands."""

    model_config = SettingsConfigDict(env_prefix="STT_")

    grpc_port: int = Field(default=9081, ge=0, le=65535)
    http_port: int = Field(default=8001, ge=0, le=65535)

    engine: str = Field(default="pocketsphinx")
    # Microphones at one time; a further one is refused.
    max_streams: int = Field(default=4, ge=1, le=1024)
    # A segment longer than this is an error; a client commits long before.
    max_segment_s: float = Field(default=600, gt=0)
    # What the scripted engines play.
    script: Path | None = Field(default=None, validation_alias=shared("ANCHOR_SCRIPT"))

    # pocketsphinx: where the words of this newsroom come from, and where what was built of them is kept.
    knowledge_dir: Path = Field(default=Path("content/knowledge"))
    models_dir: Path = Field(default=Path("models"), validation_alias=shared("ANCHOR_MODELS_DIR"))
    # pocketsphinx: pairs of decoder processes; streams are spread over them.
    worker_pairs: int = Field(default=1, ge=1, le=64)
    # pocketsphinx: shortest time between two partial transcripts, on the audio clock.
    partial_interval_ms: int = Field(default=200, ge=0)
    # pocketsphinx: how long a final waits for the second opinion once the first one is there.
    second_opinion_ms: int = Field(default=150, ge=0)
    # pocketsphinx: an utterance without a flush is closed after this much audio, and another begun.
    max_utterance_s: float = Field(default=60, gt=0)
