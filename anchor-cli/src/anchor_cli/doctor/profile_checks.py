"""Findings about the machine: its resources, the measured engines, and what the services choose by them."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from pydantic import ValidationError
from pydantic_settings import SettingsError
from service_kit.anchor_command import anchor_command
from service_kit.engines.machine_profile import MachineProfile, ModelSpeed, read_profile
from service_kit.engines.measurement import MEASURING_MODULES, describe_speeds, unmeasured_engines
from service_kit.resources import MachineResources, read_resources

from anchor_cli.doctor.finding import Finding, Verdict
from anchor_cli.settings import MeshSettings

_LANGUAGE_MODEL = "local-llm"


def _speed_hint(message: str) -> Finding:
    return Finding("speed", Verdict.HINT, message, anchor_command("doctor --measure"))


def profile_path(settings: MeshSettings) -> Path:
    """The file of the machine profile."""
    return settings.root / settings.machine_profile


def check_machine(settings: MeshSettings, resources: MachineResources) -> Iterator[Finding]:
    """Describe this machine, and for the default models what was measured on it and what that decides."""
    yield Finding("machine", Verdict.OK, resources.describe())
    if settings.profile != "embedded" or settings.models == "minimal":
        return
    profile = read_profile(profile_path(settings))
    if profile is None:
        yield _speed_hint("this machine was not measured; the first `make run` does that")
    else:
        yield from _check_profile(profile, resources)
    yield from check_choices(profile)
    if settings.runs_local_llm and profile and (speed := profile.language_models.get(_LANGUAGE_MODEL)):
        yield from _check_language_model(speed)


def _check_profile(profile: MachineProfile, resources: MachineResources) -> Iterator[Finding]:
    if profile.cores != resources.cores:
        message = f"measured with {profile.cores} cores; now there are {resources.cores}"
        yield _speed_hint(message)
    if not profile.engines:
        yield _speed_hint("no engine was measured on this machine")
    engines, language_models = dict(sorted(profile.engines.items())), dict(sorted(profile.language_models.items()))
    for line in describe_speeds(engines, language_models):
        yield Finding("speed", Verdict.OK, line)
    if unmeasured := unmeasured_engines(profile, MEASURING_MODULES):
        yield _speed_hint(f"installed, but not measured: {', '.join(unmeasured)}")


def check_choices(profile: MachineProfile | None) -> Iterator[Finding]:
    """What the services choose with this profile, asked of the services' own code."""
    for module, choose in (("stt_service", _recogniser), ("tts_service", _kokoro), ("orchestrator", _speakers)):
        try:
            if find_spec(module) is not None:
                yield Finding("choice", Verdict.OK, choose(profile))
        except (ValidationError, SettingsError):
            # `check_settings` reports invalid settings.
            continue


def _check_language_model(speed: ModelSpeed) -> Iterator[Finding]:
    """Whether the local language model answers within the time that the orchestrator waits for it."""
    if find_spec("orchestrator") is None:
        return
    try:
        waits_s = import_module("orchestrator.llm.local.settings").LocalLlmSettings().first_token_s
    except (ValidationError, SettingsError):
        return
    if speed.first_token_s > waits_s:
        message = (
            f"language model: passages are read out, since it needs {speed.first_token_s:.2f} s to its first token, "
            f"more than the {waits_s:g} s of LLM_LOCAL_FIRST_TOKEN_S"
        )
        yield Finding("choice", Verdict.HINT, message)


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


def _speakers(profile: MachineProfile | None) -> str:
    capacity = import_module("orchestrator.admission.capacity")
    stt = import_module("stt_service.settings").SttSettings()
    tts = import_module("tts_service.settings").TtsSettings()
    settings = import_module("orchestrator.settings").OrchestratorSettings()
    engines = import_module("tts_service.engines").ENGINES
    voices = import_module("tts_service.routing.routes").build_plan(tts, engines).engines
    recogniser = import_module("stt_service.engines.whisper.models").candidates(stt)[0]
    streams = import_module("stt_service.stream_limit").max_streams(stt)
    found = capacity.call_capacity(
        cores=read_resources().cores,
        profile=profile,
        stt=capacity.EngineInUse(model=recogniser, max_streams=streams),
        tts=capacity.EngineInUse("+".join(voices), max_streams=tts.max_streams),
        llm_slots=settings.llm_slots,
        max_speakers=settings.own_max_speakers,
    )
    return f"admission: {found}"


def _kokoro(_profile: MachineProfile | None) -> str:
    use = import_module("tts_service.routing.kokoro_use")
    settings = import_module("tts_service.settings").TtsSettings()
    spoken = use.kokoro_languages(settings)
    others = [language for language in use.KOKORO_LANGUAGES if language not in spoken]
    speeds = use.measured_speeds(settings)
    if settings.kokoro != "auto":
        why = "the settings say so"
    elif not use.kokoro_folder(settings).is_dir():
        why = f"its model is not here: `{anchor_command('pull kokoro')}`, then measure again"
    elif not set(others) <= set(speeds):
        why = "it was not measured here"
    else:
        slow = [
            f"{language} {speeds[language].first_result_s:.2f} s, {speeds[language].real_time_factor:.2f}"
            for language in others
        ]
        why = (
            f"first audio or seconds per second of speech exceed {use.MAX_FIRST_AUDIO_S:g} s or "
            f"{use.MAX_REAL_TIME_FACTOR:g} ({'; '.join(slow)})"
        )
    parts = [f"kokoro for {', '.join(spoken)}"] if spoken else []
    if others:
        parts.append(f"espeak for {', '.join(others)}, not kokoro: {why}")
    return f"text to speech: {'; '.join(parts)}"
