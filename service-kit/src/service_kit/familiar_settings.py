"""Settings of other voice servers that have no counterpart here: each gets one line at the start that says why.

Settings with a counterpart are read under both names: see `service_kit.settings.shared`.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from service_kit.settings import shared

_ANSWERS = {
    "AUDIO_CHUNK_SIZE": "clients may send frames of any size; there is nothing to set",
    "BUFFER_SIZE_MS": "speech is sent as soon as it is made; a client buffers as much as it wants (TTS_MAX_AHEAD_S is "
    "how far it is sent ahead)",
    "STT_BATCH_SIZE": "utterances are transcribed as they are spoken, not in batches; STT_WHISPER_WORKERS and "
    "STT_VOXTRAL_PLACES set how many at one time",
    "TTS_STREAM_CHUNK_SIZE": "speech is streamed in the pieces that the engine makes; TTS_MAX_PHRASE_CHARS sets the "
    "length of a phrase",
    "ENABLE_MEMORY_POOL": "engines reserve their memory when they start (docs/memory-plan.md)",
}


class FamiliarSettings(BaseSettings):
    """Names read only to be answered. Any value is accepted."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    audio_chunk_size: str = Field(default="", validation_alias=shared("AUDIO_CHUNK_SIZE"))
    buffer_size_ms: str = Field(default="", validation_alias=shared("BUFFER_SIZE_MS"))
    stt_batch_size: str = Field(default="", validation_alias=shared("STT_BATCH_SIZE"))
    tts_stream_chunk_size: str = Field(default="", validation_alias=shared("TTS_STREAM_CHUNK_SIZE"))
    enable_memory_pool: str = Field(default="", validation_alias=shared("ENABLE_MEMORY_POOL"))
    vad_filter: str = Field(default="", validation_alias=shared("VAD_FILTER"))


def answer_familiar_settings(settings: FamiliarSettings) -> Iterator[str]:
    """Return one line for each setting of `settings` that changes nothing here."""
    for name, answer in _ANSWERS.items():
        if getattr(settings, name.lower()):
            yield f"{name} is not used: {answer}"
    # On is what always happens, and needs no words.
    if settings.vad_filter.lower() in {"0", "false", "no", "off"}:
        yield "VAD_FILTER is not used: speech is always detected first; VAD_START_PROBABILITY sets how readily"
