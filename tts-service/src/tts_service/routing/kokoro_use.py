"""In which languages `kokoro` speaks by default on this machine. Decided once, at the start of the service."""

from __future__ import annotations

import logging
from pathlib import Path

from service_kit.anchor_command import anchor_command
from service_kit.engines.machine_profile import EngineSpeed, language_row, read_profile

from tts_service.settings import TtsSettings

log = logging.getLogger(__name__)

ENGINE = "kokoro"
# The languages that it takes over from eSpeak; English has hibari.
KOKORO_LANGUAGES = ("es", "fr", "it", "pt", "hi")
# Beyond these a listener waits: for the first audio of a reply, and within it.
MAX_FIRST_AUDIO_S = 0.6
MAX_REAL_TIME_FACTOR = 0.5


def kokoro_folder(settings: TtsSettings) -> Path:
    """The folder of its model, whether or not it is there."""
    return settings.kokoro_model or settings.models_dir / ENGINE


def is_fast_enough(speed: EngineSpeed) -> bool:
    """Whether a listener waits neither for the first audio of a reply nor within it."""
    return speed.first_result_s <= MAX_FIRST_AUDIO_S and speed.real_time_factor <= MAX_REAL_TIME_FACTOR


def kokoro_languages(settings: TtsSettings) -> tuple[str, ...]:
    """The languages that it speaks: all or none where the settings say so.

    With `auto`, those in which the machine profile has it fast enough, if its model is here.
    """
    if settings.kokoro != "auto":
        return KOKORO_LANGUAGES if settings.kokoro == "on" else ()
    if not kokoro_folder(settings).is_dir():
        return ()
    speeds = measured_speeds(settings)
    if len(speeds) < len(KOKORO_LANGUAGES):
        unmeasured = [language for language in KOKORO_LANGUAGES if language not in speeds]
        log.info(
            f"kokoro does not speak languages that were not measured; run `{anchor_command('doctor --measure')}`",
            extra={"languages": unmeasured},
        )
    for language, speed in speeds.items():
        if not is_fast_enough(speed):
            log.info(
                "kokoro does not speak a language in which this machine is too slow",
                extra={
                    "language": language,
                    "first_audio_s": speed.first_result_s,
                    "real_time_factor": speed.real_time_factor,
                },
            )
    return tuple(language for language, speed in speeds.items() if is_fast_enough(speed))


def measured_speeds(settings: TtsSettings) -> dict[str, EngineSpeed]:
    """What the machine profile has of it, by language, in the order of `KOKORO_LANGUAGES`."""
    profile = read_profile(settings.machine_profile)
    engines = profile.engines if profile else {}
    rows = {language: language_row(ENGINE, language) for language in KOKORO_LANGUAGES}
    return {language: engines[row] for language, row in rows.items() if row in engines}
