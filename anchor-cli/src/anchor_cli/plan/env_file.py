"""A plan as settings: names that .env.example knows, and how they get into a .env that holds others already."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from pathlib import Path

from anchor_cli.plan.budget import GIB, Choice, Model, ServiceMemory
from anchor_cli.plan.ladder import Plan

# Beside the .env: there containers see it too.
PLAN_PATH = Path("deploy/profiles/planned.json")
VOXTRAL_PROFILE = "voxtral"
# The server's address inside the mesh of containers.
VOXTRAL_URL = "http://voxtral:8000/v1"
# What it calls its model, whichever that is.
VOXTRAL_SERVED = "voxtral"
# Is in every image, and needs nothing.
LAST_VOICE = "espeak"
HEADING = "# --- GPU profile: written by `anchor plan`, which replaces these lines when it is run again ---"
LINE = re.compile(r"^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=")


def settings_of(plan: Plan, models: Mapping[str, Model]) -> dict[str, str]:
    """What Compose and the services are to be started with."""
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
    settings |= _speaking(plan.service("tts").choice, models)
    settings |= _hearing(plan.service("stt").choice, models)
    if runs_voxtral(plan, models):
        settings |= _voxtral(plan, models)
    return settings


def runs_voxtral(plan: Plan, models: Mapping[str, Model]) -> bool:
    """Whether speech-to-text leans on vLLM."""
    return models[plan.service("stt").choice.model].runtime == "vllm"


def gpu_share(service: ServiceMemory, plan: Plan) -> float:
    """The service's share of all the card's memory, rounded up to hundredths as vLLM is told it."""
    return math.ceil(100 * service.total_bytes / plan.card.total_bytes) / 100


def _speaking(tts: Choice, models: Mapping[str, Model]) -> dict[str, str]:
    """Who speaks: the profile's engines, led by higgs-audio, or another one, and espeak where it fails."""
    engine = models[tts.model].engine
    if engine == "higgs":
        return {
            "TTS_ENGINE": "",
            "TTS_FALLBACK_ENGINES": "",
            "TTS_HIGGS_WEIGHTS": tts.weights,
            "TTS_HIGGS_SLOTS": str(tts.slots),
            "TTS_HIGGS_CONTEXT_TOKENS": str(tts.context_tokens),
        }
    return {"TTS_ENGINE": engine, "TTS_FALLBACK_ENGINES": "" if engine == LAST_VOICE else f'["{LAST_VOICE}"]'}


def _hearing(stt: Choice, models: Mapping[str, Model]) -> dict[str, str]:
    """Who hears, and how."""
    model, slots = models[stt.model], str(stt.slots)
    # Empty, faster-whisper hears, and PocketSphinx as long as that cannot be loaded.
    engine = "" if model.engine == "faster-whisper" else model.engine
    settings = {"STT_ENGINE": engine, "GPU_VLLM_URL": VOXTRAL_URL if model.runtime == "vllm" else ""}
    match model.engine:
        case "voxtral":
            settings |= {"STT_VOXTRAL_URL": VOXTRAL_URL, "STT_VOXTRAL_PLACES": slots}
        case "voxtral-realtime":
            # Each microphone has a place at the server while it speaks: there is no waiting for one.
            settings |= {"STT_VOXTRAL_REALTIME_URL": VOXTRAL_URL, "STT_VOXTRAL_REALTIME_MODEL": VOXTRAL_SERVED}
            settings |= {"STT_MAX_STREAMS": slots}
        case "faster-whisper":
            compute_type = {"f16": "float16"}.get(stt.weights, stt.weights)
            settings |= {"STT_WHISPER_DEVICE": "cuda", "STT_WHISPER_COMPUTE_TYPE": compute_type}
        case _:
            pass
    return settings


def _voxtral(plan: Plan, models: Mapping[str, Model]) -> dict[str, str]:
    """How vLLM is started."""
    stt = plan.service("stt")
    model = models[stt.choice.model]
    # The realtime model does not work in whole graphs.
    graphs = "PIECEWISE" if model.engine == "voxtral-realtime" else "FULL_AND_PIECEWISE"
    return {
        "VOXTRAL_MODEL_PATH": model.server_name or model.name,
        "VOXTRAL_GPU_MEMORY_UTILIZATION": f"{gpu_share(stt, plan):.2f}",
        "VOXTRAL_KV_CACHE_MEMORY_BYTES": f"{math.ceil(stt.kv_cache.bytes / 2**20)}M",
        "VOXTRAL_MAX_MODEL_LEN": str(stt.choice.context_tokens),
        "VOXTRAL_MAX_NUM_SEQS": str(stt.choice.slots),
        "VOXTRAL_QUANTIZATION": "None" if stt.choice.weights == "bf16" else stt.choice.weights,
        "VOXTRAL_CUDAGRAPH_MODE": graphs,
    }


def merged(text: str, settings: Mapping[str, str], profile: str, wanted: bool) -> str:
    """A .env's `text` with `settings` in it; other lines stay as they are, and so does their order.

    `profile` is put into its COMPOSE_PROFILES, or taken out where it is not `wanted`.
    """
    settings = {**settings, "COMPOSE_PROFILES": _profiles(_value(text, "COMPOSE_PROFILES"), profile, wanted)}
    lines: list[str] = []
    written: set[str] = set()
    for line in text.splitlines():
        match = LINE.match(line)
        name = match.group(1) if match else ""
        if name not in settings:
            lines.append(line)
        elif name not in written:
            written.add(name)
            lines.append(f"{name}={settings[name]}")
    missing = [f"{name}={value}" for name, value in settings.items() if name not in written]
    if missing and HEADING not in lines:
        lines += ["", HEADING] if lines else [HEADING]
    return "\n".join([*lines, *missing]) + "\n"


def profile_text(plan: Plan, models: Mapping[str, Model]) -> str:
    """The settings alone, for whoever has no .env yet; deploy/profiles holds one for each card of the catalogue."""
    settings = {name: value for name, value in settings_of(plan, models).items() if name != "GPU_PLAN_PATH"}
    lines = [f"# {plan.card.title}: what `anchor plan --gpu {plan.card.name} --env` prints. Add it to .env."]
    lines += [f"# Given up: {words}." for words in plan.given_up]
    return "\n".join(lines) + "\n" + merged("", settings, VOXTRAL_PROFILE, runs_voxtral(plan, models))


def write_env(path: Path, text: str) -> None:
    """Put `text` in the place of the file at once; readable for its owner only, unless it was for others before."""
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
    draft = path.with_name(f"{path.name}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    draft.replace(path)


def _value(text: str, name: str) -> str | None:
    for line in text.splitlines():
        match = LINE.match(line)
        if match and match.group(1) == name:
            return line.partition("=")[2].strip().strip("\"'")
    return None


def _profiles(profiles: str | None, profile: str, wanted: bool) -> str:
    entries = ["${ANCHOR_PROFILE}"] if profiles is None else [entry for entry in profiles.split(",") if entry]
    kept = [entry for entry in entries if entry != profile]
    return ",".join([*kept, profile] if wanted else kept)
