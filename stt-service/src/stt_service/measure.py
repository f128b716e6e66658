"""`python -m stt_service.measure`: how fast the recognisers are on this machine, as JSON on stdout.

A line after each engine, with all engines so far, so that a measurement that takes too long is not lost:
`{engine: {"first_result_s": .., "real_time_factor": ..}}` for the engines whose models are in the models folder; the
others are named on stderr. The clips are noise, decoded to as many tokens as speech of that length has, so the work is
the same on every machine. The times are processor time of one thread: what else runs at set-up does not count.
`anchor doctor --measure` runs it as a process of its own, and writes the machine profile.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from service_kit.engines.models import model_folder
from service_kit.errors import EngineFailed

from stt_service.engines.whisper.models import BASE, MOONSHINE, SMALL
from stt_service.settings import SttSettings

# A short question, the typical request of `EngineSpeed`, and a long one for the real-time factor.
SHORT_S, LONG_S = 3.0, 8.0
# Tokens a second of conversational English: 3 words of 1.3 tokens, and two times.
TOKENS_PER_S = 4.6
REPETITIONS = 5
# A clip that took so long altogether is not repeated: a first start waits for the measurement.
ENOUGH_S = 1.0


def measure_engine(time_clip: Callable[[float], float]) -> dict[str, float]:
    """Return the speeds of an engine; `time_clip` transcribes a clip of so many seconds and returns the seconds used.

    Least of repetitions, after one that is not counted.
    """
    time_clip(SHORT_S)
    short_s, long_s = _least(time_clip, SHORT_S), _least(time_clip, LONG_S)
    return {"first_result_s": round(short_s, 4), "real_time_factor": round(long_s / LONG_S, 4)}


def _least(time_clip: Callable[[float], float], seconds: float) -> float:
    times = [time_clip(seconds)]
    while len(times) < REPETITIONS and sum(times) < ENOUGH_S:
        times.append(time_clip(seconds))
    return min(times)


def whisper_timer(folder: Path) -> Callable[[float], float]:
    """Return the `time_clip` of a Whisper model, as the engine loads it by default."""
    from stt_service.engines.whisper.decoding import ModelOptions, WhisperModel

    return _clip_timer(WhisperModel(ModelOptions(str(folder))).decode_tokens)


def moonshine_timer(folder: Path) -> Callable[[float], float]:
    """Return the `time_clip` of Moonshine, as the engine loads it."""
    from stt_service.engines.whisper.moonshine import MoonshineModel

    return _clip_timer(MoonshineModel(folder).decode_tokens)


def _clip_timer(decode_tokens: Callable[[Any, int], None]) -> Callable[[float], float]:
    """Return a function that decodes a clip of so many seconds, to as many tokens as speech has, and times it."""
    import numpy as np

    noise = np.random.default_rng(1).normal(0, 0.05, int(LONG_S * 16_000)).astype(np.float32)

    def time_clip(seconds: float) -> float:
        begun_s = time.process_time()
        decode_tokens(noise[: int(seconds * 16_000)], round(seconds * TOKENS_PER_S))
        return time.process_time() - begun_s

    return time_clip


TIMERS: dict[str, Callable[[Path], Callable[[float], float]]] = {
    BASE: whisper_timer,
    SMALL: whisper_timer,
    MOONSHINE: moonshine_timer,
}


def measure_all(settings: SttSettings) -> Iterator[dict[str, dict[str, float]]]:
    """Yield the speeds of the engines so far, after each one whose model is there and verified."""
    speeds: dict[str, dict[str, float]] = {}
    for name, load in TIMERS.items():
        try:
            folder = model_folder(name, settings.models_lock, settings.models_dir)
        except EngineFailed as error:
            print(f"{name} is not measured: {error.message}", file=sys.stderr)  # noqa: T201
        else:
            speeds[name] = measure_engine(load(folder))
            yield speeds


def installed_engines() -> list[str]:
    """The recognisers whose models are in the models folder."""
    settings = SttSettings()
    return [name for name in TIMERS if (settings.models_dir / name).is_dir()]


def main() -> None:
    # As in a transcription process, before the libraries are loaded.
    os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"
    print("{}", flush=True)  # noqa: T201
    for speeds in measure_all(SttSettings()):
        print(json.dumps(speeds), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
