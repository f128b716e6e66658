"""Times final transcripts of Voxtral Mini 3B behind vLLM, with dummy weights."""
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import wave
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any
from uuid import uuid4

import numpy as np

from gpu.results import MAX_TOKENS, FinalTimes
from gpu.voxtral_model import write_model

RATE_HZ = 16_000
START_S = 240
# The flags of compose.yaml after `anchor plan --gpu rtx6000-ada`.
_FLAGS = (
    *("--served-model-name=voxtral", "--tokenizer-mode=mistral", "--config-format=mistral", "--load-format=dummy"),
    *("--max-model-len=2048", "--max-num-seqs=4", '--limit-mm-per-prompt={"audio":1}', "--mm-processor-cache-gb=0"),
    "--kv-cache-memory-bytes=960M",
)


def vllm_is_installed() -> bool:
    """Whether this Python can start a vLLM server."""
    return find_spec("vllm") is not None


def measure_finals(url: str, rounds: int = 5) -> list[FinalTimes]:
    """Time transcripts of noise by the server at `url` (base URL with the version path)."""
    return [_measure(url, clip_s, at_a_time, rounds) for clip_s, at_a_time in ((1.0, 1), (3.0, 1), (6.0, 1), (3.0, 4))]


def _measure(url: str, clip_s: float, at_a_time: int, rounds: int) -> FinalTimes:
    clip = noise_wav(clip_s)
    with ThreadPoolExecutor(at_a_time) as pool:
        asked = [list(pool.map(lambda _: time_transcript(url, clip), range(at_a_time))) for _ in range(rounds + 1)]
    # The first round warms up.
    answers = [answer for together in asked[1:] for answer in together]
    waits, tokens = zip(*answers, strict=True)
    return FinalTimes(clip_s, at_a_time, len(answers), median(waits), max(waits), sum(tokens) / len(tokens))


def time_transcript(url: str, clip: bytes) -> tuple[float, int]:
    """The time to a whole transcript, in ms, and the number of pieces it came in."""
    fields = {"model": "voxtral", "language": "en", "temperature": "0", "stream": "true"}
    body, kind = multipart(fields | {"max_completion_tokens": str(MAX_TOKENS)}, clip)
    request = urllib.request.Request(  # noqa: S310
        f"{url}/audio/transcriptions", body, {"Content-Type": kind}, method="POST"
    )
    begin, pieces = time.perf_counter(), 0
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
        for line in answer:
            if line.startswith(b"data:") and b"[DONE]" not in line:
                choices = json.loads(line[5:]).get("choices") or [{}]
                pieces += "content" in choices[0].get("delta", {})
    return (time.perf_counter() - begin) * 1000, pieces


def multipart(fields: dict[str, str], clip: bytes) -> tuple[bytes, str]:
    """A form with a WAV file, and its content type."""
    edge = uuid4().hex
    form = "".join(
        f'--{edge}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    )
    form += f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="clip.wav"\r\n'
    form += "Content-Type: audio/wav\r\n\r\n"
    return form.encode() + clip + f"\r\n--{edge}--\r\n".encode(), f"multipart/form-data; boundary={edge}"


def noise_wav(seconds: float) -> bytes:
    """Noise as a 16-bit WAV file of one channel."""
    pcm = np.random.default_rng(1).normal(0, 2000, int(seconds * RATE_HZ)).astype("<i2").tobytes()
    made = io.BytesIO()
    with wave.open(made, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(pcm)
    return made.getvalue()


def server_command(model: Path, port: int, share: float) -> list[str]:
    """The command of a vLLM with `share` of the card."""
    named = [f"--model={model}", "--host=127.0.0.1", f"--port={port}", f"--gpu-memory-utilization={share:.2f}"]
    return [sys.executable, "-m", "vllm.entrypoints.openai.api_server", *named, *_FLAGS]


@contextmanager
def start_server(share: float) -> Generator[str]:
    """Run a vLLM with a full-size Voxtral and dummy weights; yields its base URL with the version path."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as scratch, tempfile.TemporaryFile() as log:
        model = write_model(Path(scratch, "voxtral"))
        server = subprocess.Popen(
            server_command(model, port, share),
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "HF_HUB_OFFLINE": "1"},
        )
        try:
            _wait_until_ready(f"http://127.0.0.1:{port}/health", server, log)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            server.terminate()
            try:
                server.wait(30)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _wait_until_ready(url: str, server: subprocess.Popen[bytes], log: Any) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):  # noqa: S310
                return
        except (urllib.error.URLError, OSError):
            time.sleep(1)
    log.seek(0)
    last = log.read().decode(errors="replace").splitlines()[-5:]
    raise RuntimeError(f"vLLM was not ready within {START_S} s (status {server.poll()}): {' / '.join(last)}")
