"""Prometheus metrics of the vad-service."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

BATCH_SIZE = Histogram(
    "anchor_vad_batch_size", "Frames per call of the speech model.", buckets=(1, 2, 4, 8, 16, 32, 64)
)
BATCH_SECONDS = Histogram(
    "anchor_vad_batch_seconds",
    "Duration of one call of the speech model.",
    buckets=(0.0001, 0.0002, 0.0004, 0.0008, 0.0016, 0.0032, 0.0064, 0.0128, 0.1),
)
FRAME_SECONDS = Histogram(
    "anchor_vad_frame_seconds",
    "Time from a complete frame to its probability, including the wait for the batch.",
    buckets=(0.0002, 0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.1, 1),
)
PREDICTION_SECONDS = Histogram(
    "anchor_vad_prediction_seconds",
    "Time from a turn-end prediction's request to its result.",
    buckets=(0.0005, 0.002, 0.01, 0.05, 0.1, 0.2, 0.5, 2),
)
PREDICTIONS_DROPPED = Counter(
    "anchor_vad_predictions_left_out_total", "Turn-end predictions dropped, by reason.", ["reason"]
)
AUDIO_PREDICTIONS_SKIPPED = Counter(
    "anchor_vad_voices_unheard_total", "Turn-end predictions made without the audio model to stay within its CPU share."
)
EVENTS = Counter("anchor_vad_events_total", "Events sent, by type; `Activity` is not counted.", ["event"])
MICROPHONES_OPEN = Gauge("anchor_vad_microphones_open", "Open microphone streams.")
