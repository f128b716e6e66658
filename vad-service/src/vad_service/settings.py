"""Settings of the vad-service."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from pydantic import Field, model_validator
from pydantic_settings import SettingsConfigDict
from service_kit.settings import ServiceSettings, shared


@dataclass(frozen=True, slots=True)
class EdgeThresholds:
    """Thresholds of `SpeechEdgeDetector`; `VadSettings` holds their meaning and defaults."""

    sure_probability: float
    start_probability: float
    start_frames: int
    faint_probability: float
    faint_frames: int
    stop_probability: float
    faint_stop_probability: float
    stop_silence_ms: int
    sure_silence_probability: float
    pre_roll_ms: int
    # Increasing.
    turn_end_silences_ms: tuple[int, ...]


class VadSettings(ServiceSettings):
    """Settings of one vad-service, read from environment variables with the prefix `VAD_`."""

    model_config = SettingsConfigDict(env_prefix="VAD_")

    grpc_port: int = Field(default=9082, ge=0, le=65535)
    http_port: int = Field(default=8002, ge=0, le=65535)

    models_dir: Path = Field(default=Path("models"), validation_alias=shared("ANCHOR_MODELS_DIR", "MODEL_CACHE_DIR"))
    models_lock: Path = Field(default=Path("models.lock"), validation_alias=shared("ANCHOR_MODELS_LOCK"))

    # The speech model: silero, or energy, which needs no model file.
    engine: str = Field(default="silero")
    # The turn-end predictor: smart-turn works on the audio, text on the transcript; smart-turn+text combines both;
    # pause uses the length of the silence alone.
    turn_end_predictor: str = Field(default="smart-turn+text")
    # A folder below the models folder. If it holds `model.onnx` and `vocab.txt` of a DistilBERT that classifies English
    # sentences as finished or not, the text predictor uses it for English in place of the word lists.
    sentence_model: str = Field(default="sentence-finished")

    # Most microphone streams at one time; further ones are refused.
    max_streams: int = Field(default=256, ge=1)
    # Most frames in one call of the speech model.
    max_batch: int = Field(default=64, ge=1, le=1024)
    # How long a frame waits for others to share its call, in milliseconds; 0 batches only frames that arrive together.
    batch_wait_ms: float = Field(default=0.0, ge=0, le=20)

    # Speech starts with one frame (32 ms) of at least this probability ...
    sure_probability: float = Field(default=0.8, ge=0, le=1)
    # ... or with `start_frames` frames in a row of at least this probability ...
    start_probability: float = Field(default=0.5, ge=0, le=1)
    start_frames: int = Field(default=2, ge=1, le=30)
    # ... or, for faint speech such as a whisper, with at least this mean probability over `faint_frames` frames.
    faint_probability: float = Field(default=0.25, ge=0, le=1)
    faint_frames: int = Field(default=8, ge=2, le=60)

    # A frame below the first is silence; faint speech continues until its mean falls below the second.
    stop_probability: float = Field(default=0.35, ge=0, le=1)
    faint_stop_probability: float = Field(default=0.15, ge=0, le=1)
    # Speech stops after this much silence, in milliseconds ...
    stop_silence_ms: int = Field(default=96, ge=32, le=2000)
    # ... or with one frame below this probability; 0 for never. In 760 s of recorded speech the end is told 34 ms
    # earlier (median) by that, with 226 stops instead of 223.
    sure_silence_probability: float = Field(default=0.1, ge=0, le=1)
    # How far before the first speech frame transcription should start, in milliseconds.
    pre_roll_ms: int = Field(default=300, ge=0, le=2000)

    # Silence after which the turn's end is predicted, in milliseconds.
    turn_end_silence_ms: int = Field(default=200, ge=32, le=5000)
    # Longer silences after which the prediction is repeated while the turn seems open; increasing, in milliseconds.
    turn_end_again_ms: tuple[int, ...] = Field(default=(500, 900, 1400), max_length=8)
    # The probability that the `pause` predictor returns; with the orchestrator's default delays it ends a turn after
    # 469 ms.
    pause_probability: float = Field(default=0.75, ge=0, le=1)
    # Share of this machine's CPU time for Smart Turn in smart-turn+text. Beyond it, `pause_probability` replaces the
    # audio prediction.
    turn_end_share: float = Field(default=0.1, gt=0, le=1)
    # Most predictions waiting for the predictor's thread; further ones are dropped and counted.
    max_waiting_predictions: int = Field(default=16, ge=1)

    @model_validator(mode="after")
    def _check_thresholds(self) -> VadSettings:
        if not self.stop_probability <= self.start_probability <= self.sure_probability:
            raise ValueError("stop_probability, start_probability and sure_probability must not decrease in this order")
        if self.faint_stop_probability > self.faint_probability:
            raise ValueError("faint_stop_probability must not exceed faint_probability")
        if self.sure_silence_probability > self.stop_probability:
            raise ValueError("sure_silence_probability must not exceed stop_probability")
        if self.turn_end_silence_ms < self.stop_silence_ms:
            raise ValueError("turn_end_silence_ms must not be shorter than stop_silence_ms")
        silences_ms = self.edge_thresholds.turn_end_silences_ms
        if any(later <= earlier for earlier, later in pairwise(silences_ms)):
            raise ValueError("turn_end_silence_ms and turn_end_again_ms must increase")
        return self

    @property
    def edge_thresholds(self) -> EdgeThresholds:
        """The settings of the speech edge detector."""
        return EdgeThresholds(
            sure_probability=self.sure_probability,
            start_probability=self.start_probability,
            start_frames=self.start_frames,
            faint_probability=self.faint_probability,
            faint_frames=self.faint_frames,
            stop_probability=self.stop_probability,
            faint_stop_probability=self.faint_stop_probability,
            stop_silence_ms=self.stop_silence_ms,
            sure_silence_probability=self.sure_silence_probability,
            pre_roll_ms=self.pre_roll_ms,
            turn_end_silences_ms=(self.turn_end_silence_ms, *self.turn_end_again_ms),
        )
