"""The worker process: `python -I -m tts_service.engines.kokoro FOLDER THREADS`, without sockets."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from service_kit.engines.isolation import import_onnxruntime

from tts_service.engines.kokoro.phonemes import to_tokens
from tts_service.engines.phrase_worker.server import Sentence, Stop, run_worker
from tts_service.engines.phrase_worker.shaping import WordPlaces, active_level, ends_sentence, shape_speech

RATE_HZ = 24_000
MODEL_FILE = "kokoro-v1.0.int8.onnx"
# eSpeak's active level. Kokoro's voices differ by 9 dB (-22.4 dBFS ef_dora, -13.6 if_sara), so each voice has its own
# gain, found with the first run that it speaks.
_LEVEL = 10 ** (-20.2 / 20)
_MAX_GAIN = 4.0
# The limiter of the service begins at 0.79 (-2 dBFS); a peak above it lowers its run.
_MAX_PEAK = 0.79
# Rows of a voice, hence the longest run of phonemes.
_ROWS, _WIDTH = 510, 256
# A run ends after punctuation where it can: one run costs half its speech's duration and sounds only when it is over.
_RUN_PHONEMES = 80
_CLAUSE = re.compile(r"[^;:,.!?—…]*[;:,.!?—…]*\s*")


class KokoroSynthesizer:
    """The model on `threads` threads; a `Synthesizer`."""

    version = "1.0 int8"
    rate_hz = RATE_HZ

    def __init__(self, folder: Path, threads: int) -> None:
        onnxruntime = import_onnxruntime()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Spinning threads would take a core from the rest of the machine between phrases.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._runtime = onnxruntime
        self._session: Any = onnxruntime.InferenceSession(
            str(folder / MODEL_FILE), options, providers=["CPUExecutionProvider"]
        )
        self._voices = folder / "voices"
        self._gains: dict[str, float] = {}

    def synthesize(self, request: Mapping[str, Any], stop: Stop) -> Iterator[Sentence]:
        """Speak `phonemes` of `text` in `voice` at `pace`, run by run."""
        text, voice, pace = str(request["text"]), str(request["voice"]), float(request["pace"])
        runs = [tokens for run in split_runs(str(request["phonemes"])) if (tokens := to_tokens(run))]
        words, total, spoken, first_sample = WordPlaces(text, 0), max(sum(map(len, runs)), 1), 0, 0
        for tokens in runs:
            start_share, spoken = spoken / total, spoken + len(tokens)
            raw = self._run(tokens, voice, pace, stop)
            samples = shape_speech(raw, self._gain(voice, raw), RATE_HZ, spoken == total and ends_sentence(text))
            yield samples, words.pop_until(spoken / total, start_share, samples, first_sample)
            first_sample += samples.size

    def _gain(self, voice: str, samples: NDArray[np.float32]) -> float:
        level = active_level(samples, RATE_HZ)
        peak = float(np.abs(samples).max(initial=0.0))
        if level == 0 or not np.isfinite(level):
            return 1.0
        gain = self._gains.setdefault(voice, min(_LEVEL / level, _MAX_GAIN))
        return min(gain, _MAX_PEAK / peak)

    def _run(self, tokens: list[int], voice: str, pace: float, stop: Stop) -> NDArray[np.float32]:
        options = self._runtime.RunOptions()
        with stop.calling(lambda: setattr(options, "terminate", True)):
            (audio,) = self._session.run(
                None,
                {
                    "tokens": np.asarray([[0, *tokens, 0]], np.int64),
                    "style": read_style(self._voices / f"{voice}.bin")[len(tokens) - 1][None],
                    "speed": np.asarray([pace], np.float32),
                },
                options,
            )
        return np.asarray(audio, np.float32).reshape(-1)


@lru_cache(maxsize=8)
def read_style(path: Path) -> NDArray[np.float32]:
    """A voice: one row for each number of phonemes. Raises `ValueError` unless the file has its size."""
    if not re.fullmatch(r"[a-z]{2}_[a-z]+\.bin", path.name):
        raise ValueError(f"no voice {path.stem!r}")
    style = np.fromfile(path, np.float32)
    if style.size != _ROWS * _WIDTH:
        raise ValueError(f"{path} does not hold a voice")
    return style.reshape(_ROWS, _WIDTH)


def split_runs(phonemes: str) -> list[str]:
    """Cut phonemes into runs: after a clause once a run is long, and anywhere before it exceeds the model's limit."""
    runs: list[str] = [""]
    for clause in _CLAUSE.findall(phonemes):
        if runs[-1] and len(runs[-1]) + len(clause) > _RUN_PHONEMES:
            runs.append("")
        runs[-1] += clause
    return [piece for run in runs for piece in _cut(run.strip())]


def _cut(run: str) -> Iterator[str]:
    while len(run) > _ROWS:
        end = run.rfind(" ", 1, _ROWS)
        end = end if end > 0 else _ROWS
        yield run[:end]
        run = run[end:].strip()
    if run:
        yield run


def run(isolated: bool) -> None:
    """Speak jobs until the input ends; the command line names the model's folder and the number of threads."""
    run_worker("kokoro", lambda: KokoroSynthesizer(Path(sys.argv[1]), int(sys.argv[2])), isolated)
