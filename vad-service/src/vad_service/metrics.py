"""Metrics of turn detection."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

BATCH_SIZE = Histogram(
    "anchor_vad_batch_size", "Frames judged in one call of the speech model.", buckets=(1, 2, 4, 8, 16, 32, 64)
)
BATCH_SECONDS = Histogram(
    "anchor_vad_batch_seconds",
    "Time one call of the speech model took.",
    buckets=(0.0001, 0.0002, 0.0004, 0.0008, 0.0016, 0.0032, 0.0064, 0.0128, 0.1),
)
FRAME_SECONDS = Histogram(
    "anchor_vad_frame_seconds",
    "Time from a complete frame to its probability, waiting for the batch included.",
    buckets=(0.0002, 0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.1, 1),
)
PREDICTION_SECONDS = Histogram(
    "anchor_vad_prediction_seconds",
    "Time from a due end-of-turn prediction to its probability.",
    buckets=(0.0005, 0.002, 0.01, 0.05, 0.1, 0.2, 0.5, 2),
)
PREDICTIONS_LEFT_OUT = Counter(
    "anchor_vad_predictions_left_out_total", "End-of-turn predictions nobody made or wanted any more.", ["reason"]
)
VOICES_UNHEARD = Counter(
    "anchor_vad_voices_unheard_total", "Pauses judged without listening to the voice, for want of processor time."
)
EVENTS = Counter("anchor_vad_events_total", "Events of turn detection, activity left out.", ["event"])
MICROPHONES_OPEN = Gauge("anchor_vad_microphones_open", "Microphones listened to.")
