"""How many microphone streams are accepted at a time, by the setting or by the measured speed of the recogniser."""

from __future__ import annotations

from service_kit.engines.capacity import cpu_calls
from service_kit.engines.machine_profile import read_profile
from service_kit.resources import read_resources

from stt_service.settings import SttSettings


def max_streams(settings: SttSettings) -> int:
    """The most streams at a time, with the recogniser that the settings choose."""
    if settings.max_streams != "auto":
        return settings.max_streams
    profile = read_profile(settings.machine_profile)
    speed = profile.engines.get(_measured_engine(settings)) if profile else None
    if speed is None:
        return settings.least_streams
    return max(settings.least_streams, 2 * cpu_calls(read_resources().cores, speed, None))


def _measured_engine(settings: SttSettings) -> str:
    """The row of the machine profile that the recogniser has; empty for one that is not measured."""
    if settings.engine not in ("", "whisper", "faster-whisper"):
        return ""
    if not settings.engine and settings.profile == "embedded" and settings.models == "minimal":
        return ""
    from stt_service.engines.whisper.models import candidates

    return candidates(settings)[0]
