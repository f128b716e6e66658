"""Whether `kokoro` speaks by default on this machine. Decided once, at the start of the service."""

from __future__ import annotations

import logging

from service_kit.engines.machine_profile import read_profile

from tts_service.settings import TtsSettings

log = logging.getLogger(__name__)

# The languages that it takes over from eSpeak; English has hibari.
KOKORO_LANGUAGES = ("es", "fr", "it", "pt", "hi")
# Beyond these a listener waits: for the first audio of a reply, and within it.
MAX_FIRST_AUDIO_S = 0.6
MAX_REAL_TIME_FACTOR = 0.5


def uses_kokoro(settings: TtsSettings) -> bool:
    """Whether the settings say so or, with `auto`, its model is here and the machine profile has it fast enough."""
    if settings.kokoro != "auto":
        return settings.kokoro == "on"
    folder = settings.kokoro_model or settings.models_dir / "kokoro"
    if not folder.is_dir():
        return False
    profile = read_profile(settings.machine_profile)
    speed = profile.engines.get("kokoro") if profile else None
    if speed is None:
        log.info("kokoro is not used: this machine has not been measured; run `anchor doctor --measure`")
        return False
    fast = speed.first_result_s <= MAX_FIRST_AUDIO_S and speed.real_time_factor <= MAX_REAL_TIME_FACTOR
    if not fast:
        log.info(
            "kokoro is not used: this machine is too slow for it",
            extra={"first_audio_s": speed.first_result_s, "real_time_factor": speed.real_time_factor},
        )
    return fast
