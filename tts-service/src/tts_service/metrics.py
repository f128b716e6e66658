"""Metrics of the tts-service."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

FIRST_AUDIO_SECONDS = Histogram(
    "anchor_tts_first_audio_seconds",
    "From a reply's first phrase going to the engine to its first audio going out.",
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 5),
)
PHRASES = Counter("anchor_tts_phrases_total", "Phrases given to the engine.")
CHARACTERS = Counter("anchor_tts_characters_total", "Characters given to the engine.")
AUDIO_SECONDS = Counter("anchor_tts_audio_seconds_total", "Speech sent, in seconds of audio.")
WATCHDOG = Counter("anchor_tts_watchdog_total", "What the output watchdog had to mend or stop.", ["check"])
WORKER_STARTS = Counter("anchor_tts_worker_starts_total", "Starts of the engine's worker process.")
ENGINE_SPEAKS = Gauge("anchor_tts_engine_speaks", "Whether an engine of several speaks.", ["engine"])
FALLBACK_PHRASES = Counter(
    "anchor_tts_stand_ins_total", "Phrases that an engine of several left to the next.", ["engine"]
)
