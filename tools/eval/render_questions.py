"""Speaks the questions of data/paraphrases.toml into data/audio: 16 kHz mono FLAC, by Piper's voice en_US-joe-medium.

It runs outside the project's environment, since Piper is under the GPL and no part of the product:

    python3 -m venv /tmp/piper && /tmp/piper/bin/pip install piper-tts soundfile soxr
    /tmp/piper/bin/python tools/eval/render_questions.py models/piper-joe/en_US-joe-medium.onnx
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import numpy as np
import soundfile
import soxr
from piper import PiperVoice  # type: ignore[import-not-found]  # not a package of the project: see above

DATA = Path(__file__).parent / "data"
SAMPLE_RATE = 16_000
AUDIBLE = 0.01
MARGIN_S = 0.1


def main() -> None:
    """Render each question; the file's name is its number in the list, from 1."""
    voice = PiperVoice.load(sys.argv[1])
    questions = tomllib.loads((DATA / "paraphrases.toml").read_text("utf-8"))["paraphrase"]
    folder = DATA / "audio"
    folder.mkdir(exist_ok=True)
    total = 0
    for number, entry in enumerate(questions, 1):
        chunks = list(voice.synthesize(entry["question"]))
        spoken = np.concatenate([chunk.audio_float_array for chunk in chunks])
        samples = _trim(soxr.resample(spoken, chunks[0].sample_rate, SAMPLE_RATE))
        path = folder / f"{number:03}.flac"
        soundfile.write(path, samples, SAMPLE_RATE, subtype="PCM_16")
        total += path.stat().st_size
        sys.stdout.write(f"{path.name} {len(samples) / SAMPLE_RATE:.2f} s  {entry['question']}\n")
    sys.stdout.write(f"{len(questions)} files, {total / 1e6:.2f} MB\n")


def _trim(samples: np.ndarray) -> np.ndarray:
    """Cut the silence at both ends down to `MARGIN_S`."""
    audible = np.flatnonzero(np.abs(samples) > AUDIBLE)
    margin = round(MARGIN_S * SAMPLE_RATE)
    return samples[max(0, audible[0] - margin) : audible[-1] + margin]


if __name__ == "__main__":
    main()
