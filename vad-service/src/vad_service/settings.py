"""Settings of turn detection."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from pydantic import Field, model_validator
from pydantic_settings import SettingsConfigDict
from service_kit.settings import ServiceSettings, shared

from vad_service.speech.speech_edges import EdgeRules


class VadSettings(ServiceSettings):
    """Settings of one vad-service; environment names begin with `VAD_`."""

    model_config = SettingsConfigDict(env_prefix="VAD_")

    grpc_port: int = Field(default=9082, ge=0, le=65535)
    http_port: int = Field(default=8002, ge=0, le=65535)

    models_dir: Path = Field(default=Path("models"), validation_alias=shared("ANCHOR_MODELS_DIR"))
    models_lock: Path = Field(default=Path("models.lock"), validation_alias=shared("ANCHOR_MODELS_LOCK"))

    # Which model says how speech-like a frame is: silero, or energy for work without a model file.
    engine: str = Field(default="silero")
    # Who judges whether a pause ends the turn: smart-turn hears how it was said, text reads what was said; or both,
    # or pause, which knows nothing but the silence.
    turn_end_predictor: str = Field(default="smart-turn+text")
    # A folder below the models folder: with `model.onnx` and `vocab.txt` of a DistilBERT that tells finished English
    # sentences there, it reads English instead of the word lists.
    sentence_model: str = Field(default="sentence-finished")

    # Microphones listened to at once; one more is refused.
    max_streams: int = Field(default=256, ge=1)
    # Frames judged in one call of the model.
    max_batch: int = Field(default=64, ge=1, le=1024)
    # How long a frame waits for others to share its call, in milliseconds; 0 takes what arrived at the same time.
    batch_wait_ms: float = Field(default=0.0, ge=0, le=20)

    # Speech starts with one frame (32 ms) this probable ...
    sure_probability: float = Field(default=0.8, ge=0, le=1)
    # ... or with `start_frames` frames in a row this probable ...
    start_probability: float = Field(default=0.5, ge=0, le=1)
    start_frames: int = Field(default=2, ge=1, le=30)
    # ... or, when it is faint (a whisper), with a mean this high over `faint_frames` frames.
    faint_probability: float = Field(default=0.25, ge=0, le=1)
    faint_frames: int = Field(default=8, ge=2, le=60)

    # A frame less probable than this is silence; for faint speech, a mean lower than the second.
    stop_probability: float = Field(default=0.35, ge=0, le=1)
    faint_stop_probability: float = Field(default=0.15, ge=0, le=1)
    # Silence after which speech has stopped, in milliseconds.
    stop_silence_ms: int = Field(default=96, ge=32, le=2000)
    # How far before the first speech frame transcribing should begin, in milliseconds.
    pre_roll_ms: int = Field(default=300, ge=0, le=2000)

    # Silence after which the turn's end is predicted, in milliseconds.
    turn_end_silence_ms: int = Field(default=200, ge=32, le=5000)
    # Longer silences at which a pause is judged again, while the turn seems not to be over; rising, in milliseconds.
    turn_end_again_ms: tuple[int, ...] = Field(default=(500, 900, 1400), max_length=8)
    # What the `pause` rule answers: with the default waits, 469 ms.
    pause_probability: float = Field(default=0.75, ge=0, le=1)
    # How much of this machine's processors Smart Turn may use beside the text; beyond it, the pause rule stands in.
    turn_end_share: float = Field(default=0.1, gt=0, le=1)
    # Predictions that may wait for the predictor's thread; one more is left out, and counted.
    max_waiting_predictions: int = Field(default=16, ge=1)

    @model_validator(mode="after")
    def _hysteresis_is_in_order(self) -> VadSettings:
        if not self.stop_probability <= self.start_probability <= self.sure_probability:
            raise ValueError("stop_probability, start_probability and sure_probability must not fall in this order")
        if self.faint_stop_probability > self.faint_probability:
            raise ValueError("faint_stop_probability must not exceed faint_probability")
        if self.turn_end_silence_ms < self.stop_silence_ms:
            raise ValueError("turn_end_silence_ms must not be shorter than stop_silence_ms")
        silences_ms = self.edge_rules.turn_end_silences_ms
        if any(later <= earlier for earlier, later in pairwise(silences_ms)):
            raise ValueError("turn_end_silence_ms and turn_end_again_ms must rise")
        return self

    @property
    def edge_rules(self) -> EdgeRules:
        """The settings that the edge policy goes by."""
        return EdgeRules(
            sure_probability=self.sure_probability,
            start_probability=self.start_probability,
            start_frames=self.start_frames,
            faint_probability=self.faint_probability,
            faint_frames=self.faint_frames,
            stop_probability=self.stop_probability,
            faint_stop_probability=self.faint_stop_probability,
            stop_silence_ms=self.stop_silence_ms,
            pre_roll_ms=self.pre_roll_ms,
            turn_end_silences_ms=(self.turn_end_silence_ms, *self.turn_end_again_ms),
        )
