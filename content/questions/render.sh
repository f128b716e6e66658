#!/usr/bin/env bash
# Make the recordings that questions.toml names: flite's voices, 16 kHz, mono, 16 bit, silence trimmed at both ends.
set -euo pipefail
cd "$(dirname "$0")"
python3 - <<'PY'
import array
import pathlib
import subprocess
import tomllib
import wave

AUDIBLE = 200  # peak sample value of 32768
MARGIN_MS = 60

for question in tomllib.loads(pathlib.Path("questions.toml").read_text("utf-8"))["question"]:
    path = question["file"]
    subprocess.run(["flite", "-voice", question["voice"], "-t", question["text"], path], check=True)
    with wave.open(path) as recording:
        assert recording.getparams()[:3] == (1, 2, 16000), f"{path}: {recording.getparams()}"
        samples = array.array("h", recording.readframes(recording.getnframes()))
    audible = [index for index, sample in enumerate(samples) if abs(sample) > AUDIBLE]
    margin = MARGIN_MS * 16
    speech = samples[max(0, audible[0] - margin) : audible[-1] + margin]
    with wave.open(path, "wb") as recording:
        recording.setnchannels(1)
        recording.setsampwidth(2)
        recording.setframerate(16000)
        recording.writeframes(speech.tobytes())
    print(f"{path} {len(speech) / 16000:.2f} s")
PY
