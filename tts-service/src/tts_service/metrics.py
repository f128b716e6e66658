"""Prometheus metrics of the tts-service."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

# Once per reply; the buckets are seconds.
FIRST_AUDIO_SECONDS = Histogram(
    "anchor_tts_first_audio_seconds",
    "Time from a reply's first phrase to its first audio.",
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 5),
)
PHRASES = Counter("anchor_tts_phrases_total", "Phrases synthesised.")
# Of normalised text.
CHARACTERS = Counter("anchor_tts_characters_total", "Characters synthesised.")
AUDIO_SECONDS = Counter("anchor_tts_audio_seconds_total", "Speech sent, in seconds of audio.")

# `check` is a row of the table in synthesis/watchdog.py.
WATCHDOG = Counter("anchor_tts_watchdog_total", "Repairs by the output watchdog.", ["check"])

# Of the engines `espeak`, `hibari` and `kokoro`.
WORKER_STARTS = Counter("anchor_tts_worker_starts_total", "Starts of the engines' worker processes.")

# With several engines only; `engine` is the engine's name.
ENGINE_SPEAKS = Gauge("anchor_tts_engine_speaks", "Whether a routed engine is available.", ["engine"])
FALLBACK_PHRASES = Counter(
    "anchor_tts_stand_ins_total",
    "Phrases that a routed engine left to the next engine.",
    ["engine"],
)
