"""vLLM's server as compose.yaml starts it, on the fake of its transcriptions: it knows a few recordings.

It takes the flags of `vllm serve`, ends without the model's files, and has the routes that the services call.
"""

from __future__ import annotations

import argparse
import wave
from array import array
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from transcription_server import TranscriptionServer

# Of 32768.
LOUD = 1000
KNOWN = Path("/stand-ins/known")
FILES = ("params.json", "tekken.json", "consolidated.safetensors")
METRICS = """# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc{{model_name="{name}"}} 0.0
# TYPE vllm:cache_config_info gauge
vllm:cache_config_info{{kv_cache_memory_bytes="{cache}"}} 1.0
"""
UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def flags() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    for name in ("served-model-name", "kv-cache-memory-bytes"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("tokenizer-mode", "config-format", "load-format", "max-model-len", "max-num-seqs", "quantization"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("compilation-config", "limit-mm-per-prompt", "mm-processor-cache-gb", "gpu-memory-utilization"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--enable-sleep-mode", action="store_true")
    return parser.parse_args()


def main() -> None:
    chosen = flags()
    for name in FILES:
        (chosen.model / name).read_bytes()
    server = TranscriptionServer()
    server.models = [chosen.served_model_name]
    for recording in KNOWN.glob("*.wav"):
        with wave.open(str(recording)) as clip:
            samples = array("h", clip.readframes(clip.getnframes()))
        # Without the silence at the end, of which a turn does not have all.
        end = max(place for place, sample in enumerate(samples) if abs(sample) > LOUD) + 1
        server.known[samples[:end].tobytes()] = recording.with_suffix(".txt").read_text("utf-8")
    size = chosen.kv_cache_memory_bytes
    metrics = METRICS.format(name=chosen.served_model_name, cache=int(size[:-1]) * UNITS[size[-1]])
    asleep = False

    async def sleep(request: Request) -> Response:
        nonlocal asleep
        asleep = request.url.path == "/sleep"
        return Response()

    routes = [
        Route("/health", lambda _: Response()),
        Route("/metrics", lambda _: PlainTextResponse(metrics)),
        Route("/is_sleeping", lambda _: JSONResponse({"is_sleeping": asleep})),
        Route("/sleep", sleep, methods=["POST"]),
        Route("/wake_up", sleep, methods=["POST"]),
        Route("/v1/models", server.list_models),
        Route("/v1/audio/transcriptions", server.transcribe, methods=["POST"]),
    ]
    uvicorn.run(Starlette(routes=routes), host="0.0.0.0", port=8000, log_level="warning")


if __name__ == "__main__":
    main()
