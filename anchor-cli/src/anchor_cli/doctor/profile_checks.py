"""Findings about the machine: its resources, the measured engines, and what the services choose by them."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec

from pydantic import ValidationError
from service_kit.engines.machine_profile import MachineProfile, read_profile
from service_kit.resources import MachineResources

from anchor_cli.doctor.finding import Finding, Verdict
from anchor_cli.doctor.measurement import describe_speed, profile_path
from anchor_cli.settings import MeshSettings

_MEASURE = "anchor doctor --measure"


def check_machine(settings: MeshSettings, resources: MachineResources) -> Iterator[Finding]:
    """Describe this machine, and for the default models what was measured on it and what that decides."""
    yield Finding("machine", Verdict.OK, resources.describe())
    if settings.profile != "embedded" or settings.models == "minimal":
        return
    profile = read_profile(profile_path(settings))
    if profile is None:
        yield Finding("speed", Verdict.HINT, "this machine was not measured; the first `make run` does that", _MEASURE)
    else:
        yield from _check_profile(profile, resources)
    yield from check_choices(profile)


def _check_profile(profile: MachineProfile, resources: MachineResources) -> Iterator[Finding]:
    if profile.cores != resources.cores:
        message = f"measured with {profile.cores} cores; now there are {resources.cores}"
        yield Finding("speed", Verdict.HINT, message, _MEASURE)
    if not profile.engines:
        yield Finding("speed", Verdict.HINT, "no engine was measured on this machine", _MEASURE)
    for name, speed in sorted(profile.engines.items()):
        yield Finding("speed", Verdict.OK, describe_speed(name, speed))


def check_choices(profile: MachineProfile | None) -> Iterator[Finding]:
    """What the services choose with this profile, asked of the services' own code."""
    for module, choose in (("stt_service", _recogniser), ("tts_service", _kokoro)):
        try:
            if find_spec(module) is not None:
                yield Finding("choice", Verdict.OK, choose(profile))
        except ValidationError:
            # `check_settings` reports invalid settings.
            continue


def _recogniser(profile: MachineProfile | None) -> str:
    models = import_module("stt_service.engines.whisper.models")
    settings = import_module("stt_service.settings").SttSettings()
    name = models.candidates(settings)[0]
    if not name:
        return "speech to text: the Whisper model in the folder that the settings name"
    speed = profile.engines.get(models.BASE) if profile else None
    if speed is None:
        return f"speech to text: {name}, since {models.BASE} was not measured"
    compared = "slower" if speed.first_result_s > models.SLOW_FIRST_RESULT_S else "no slower"
    return (
        f"speech to text: {name}, since {models.BASE} needs {speed.first_result_s:.2f} s for a short question, "
        f"{compared} than the {models.SLOW_FIRST_RESULT_S:g} s that a fast answer leaves"
    )


def _kokoro(profile: MachineProfile | None) -> str:
    if find_spec("tts_service.routing.kokoro_use") is None:
        return "text to speech: kokoro is not available"
    use = import_module("tts_service.routing.kokoro_use")
    settings = import_module("tts_service.settings").TtsSettings()
    languages = ", ".join(use.KOKORO_LANGUAGES)
    if use.uses_kokoro(settings):
        return f"text to speech: kokoro for {languages}"
    speed = profile.engines.get("kokoro") if profile else None
    if settings.kokoro != "auto":
        why = "the settings say so"
    elif speed is None:
        why = "it was not measured here: `anchor pull kokoro`, then measure again"
    else:
        why = (
            f"{speed.first_result_s:.2f} s to the first audio and {speed.real_time_factor:.2f} s per second are more "
            f"than {use.MAX_FIRST_AUDIO_S:g} and {use.MAX_REAL_TIME_FACTOR:g}"
        )
    return f"text to speech: espeak for {languages}, not kokoro: {why}"
