"""Converts a plan to settings of .env.example, and merges them into an existing .env file."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from pathlib import Path

from anchor_cli.dotenv_file import read_value, replace_values
from anchor_cli.plan.budget import GIB, Model, ModelChoice, ServiceMemory
from anchor_cli.plan.ladder import MemoryPlan

# Relative to the .env file; mounted into the gpu-monitor container.
PLAN_PATH = Path("deploy/profiles/planned.json")
VOXTRAL_PROFILE = "voxtral"
# The server's URL in the container network.
VOXTRAL_URL = "http://voxtral:8000/v1"
# Name under which the server offers any model.
VOXTRAL_SERVED_NAME = "voxtral"
# Included in every image, without model files.
FALLBACK_ENGINE = "espeak"
HEADING = "# --- GPU profile: written by `anchor plan`, which replaces these lines when it is run again ---"
# What may stand in COMPOSE_PROFILES: names, and variables that Compose replaces.
_PROFILE = re.compile(r"[A-Za-z0-9_.:${}-]+")


def plan_settings(plan: MemoryPlan, models: Mapping[str, Model]) -> dict[str, str]:
    """Settings for Compose and the services."""
    settings = {
        "ANCHOR_PROFILE": "gpu",
        "CONTAINER_RUNTIME": "nvidia",
        "GPU_MEMORY_LIMIT_GB": f"{math.floor(plan.card.budget_bytes / GIB * 10) / 10:g}",
        "GPU_PLAN_PATH": str(PLAN_PATH),
    }
    llm = plan.service("llm")
    server_name = models[llm.choice.model].server_name
    if server_name:
        settings["OLLAMA_MODEL_NAME"] = server_name.format(weights=llm.choice.weights)
    settings["LLM_OLLAMA_CONTEXT_TOKENS"] = str(llm.choice.context_tokens)
    settings["OLLAMA_NUM_PARALLEL"] = str(llm.choice.slots)
    settings["OLLAMA_KV_CACHE_TYPE"] = llm.choice.cache
    settings |= _tts_settings(plan.service("tts").choice, models)
    settings |= _stt_settings(plan.service("stt").choice, models)
    if runs_voxtral(plan, models):
        settings |= _voxtral_settings(plan, models)
    return settings


def runs_voxtral(plan: MemoryPlan, models: Mapping[str, Model]) -> bool:
    """Whether speech-to-text uses vLLM."""
    return models[plan.service("stt").choice.model].runtime == "vllm"


def gpu_share(service: ServiceMemory, plan: MemoryPlan) -> float:
    """The service's share of the card's total memory, rounded up to hundredths for vLLM."""
    return math.ceil(100 * service.total_bytes / plan.card.total_bytes) / 100


def _tts_settings(tts: ModelChoice, models: Mapping[str, Model]) -> dict[str, str]:
    """Engine settings: the profile's own with higgs-audio, else the chosen engine with espeak as fallback."""
    engine = models[tts.model].engine
    if engine == "higgs":
        return {
            "TTS_ENGINE": "",
            "TTS_FALLBACK_ENGINES": "",
            "TTS_HIGGS_WEIGHTS": tts.weights,
            "TTS_HIGGS_SLOTS": str(tts.slots),
            "TTS_HIGGS_CONTEXT_TOKENS": str(tts.context_tokens),
        }
    return {"TTS_ENGINE": engine, "TTS_FALLBACK_ENGINES": "" if engine == FALLBACK_ENGINE else f'["{FALLBACK_ENGINE}"]'}


def _stt_settings(stt: ModelChoice, models: Mapping[str, Model]) -> dict[str, str]:
    """Engine settings of speech-to-text."""
    model, slots = models[stt.model], str(stt.slots)
    # Empty selects the profile's default: whisper, with PocketSphinx until that is loaded.
    engine = "" if model.engine == "whisper" else model.engine
    settings = {"STT_ENGINE": engine, "GPU_VLLM_URL": VOXTRAL_URL if model.runtime == "vllm" else ""}
    match model.engine:
        case "voxtral":
            settings |= {"STT_VOXTRAL_URL": VOXTRAL_URL, "STT_VOXTRAL_PLACES": slots}
        case "voxtral-realtime":
            # Each speaking microphone occupies a slot at the server; there is no queue.
            settings |= {"STT_VOXTRAL_REALTIME_URL": VOXTRAL_URL, "STT_VOXTRAL_REALTIME_MODEL": VOXTRAL_SERVED_NAME}
            settings |= {"STT_MAX_STREAMS": slots}
        case "whisper":
            compute_type = {"f16": "float16"}.get(stt.weights, stt.weights)
            settings |= {"STT_WHISPER_DEVICE": "cuda", "STT_WHISPER_COMPUTE_TYPE": compute_type}
        case _:
            pass
    return settings


def _voxtral_settings(plan: MemoryPlan, models: Mapping[str, Model]) -> dict[str, str]:
    """Launch options of vLLM."""
    stt = plan.service("stt")
    model = models[stt.choice.model]
    return {
        "VOXTRAL_MODEL_PATH": model.server_name or model.name,
        "VOXTRAL_GPU_MEMORY_UTILIZATION": f"{gpu_share(stt, plan):.2f}",
        "VOXTRAL_KV_CACHE_MEMORY_BYTES": f"{math.ceil(stt.kv_cache.bytes / 2**20)}M",
        "VOXTRAL_MAX_MODEL_LEN": str(stt.choice.context_tokens),
        "VOXTRAL_MAX_NUM_SEQS": str(stt.choice.slots),
        "VOXTRAL_QUANTIZATION": "None" if stt.choice.weights == "bf16" else stt.choice.weights,
    }


def merge_env(text: str, settings: Mapping[str, str], profile: str, enabled: bool) -> str:
    """Merge `settings` into the .env `text`; other lines and their order do not change.

    Adds `profile` to COMPOSE_PROFILES when `enabled`, else removes it. Raises `InvalidRequest` for a text with a line
    that is neither a setting nor a comment.
    """
    profiles = _profiles(read_value(text, "COMPOSE_PROFILES"), profile, enabled)
    settings = {**settings, "COMPOSE_PROFILES": profiles}
    merged, missing = replace_values(text, settings)
    lines = [f"{name}={settings[name]}\n" for name in missing]
    if lines and f"{HEADING}\n" not in merged:
        lines.insert(0, f"\n{HEADING}\n" if merged else f"{HEADING}\n")
    return merged + "".join(lines)


def render_profile(plan: MemoryPlan, models: Mapping[str, Model]) -> str:
    """The settings as a new .env file; deploy/profiles has one for each card of the catalogue."""
    settings = {name: value for name, value in plan_settings(plan, models).items() if name != "GPU_PLAN_PATH"}
    lines = [f"# {plan.card.title}: what `anchor plan --gpu {plan.card.name} --env` prints. Add it to .env."]
    lines += [f"# Given up: {description}." for description in plan.given_up]
    return "\n".join(lines) + "\n" + merge_env("", settings, VOXTRAL_PROFILE, runs_voxtral(plan, models))


def write_env(path: Path, text: str) -> None:
    """Replace the file atomically. A new file gets mode 0600, an existing one keeps its mode."""
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
    draft = path.with_name(f"{path.name}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    draft.replace(path)


def _profiles(profiles: str | None, profile: str, enabled: bool) -> str:
    entries = (
        ["${ANCHOR_PROFILE}"]
        if profiles is None
        else [each for each in profiles.split(",") if _PROFILE.fullmatch(each)]
    )
    others = [entry for entry in entries if entry != profile]
    return ",".join([*others, profile] if enabled else others)
