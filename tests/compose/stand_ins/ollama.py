#!/usr/bin/env python
"""The command `ollama` as the container's start script calls it, on the Ollama stub."""

from __future__ import annotations

import json
import subprocess
import sys

import httpx

SERVER = "http://127.0.0.1:11434"
STUB = ["/stand-ins/ollama_stub.py", "--host=0.0.0.0", "--port=11434", "--script=/stand-ins/script.toml"]


def call(path: str, body: dict[str, object] | None = None) -> bytes:
    with httpx.Client(base_url=SERVER, timeout=60, trust_env=False) as server:
        answer = server.get(path) if body is None else server.post(path, json=body)
        return answer.raise_for_status().content


def main(command: str, model: str = "", _prompt: str = "") -> int:
    if command == "serve":
        return subprocess.run([sys.executable, *STUB], check=False).returncode
    try:
        match command:
            case "list":
                call("/api/tags")
            case "show":
                return 0 if model in {m["name"] for m in json.loads(call("/api/tags"))["models"]} else 1
            case "pull":
                return 1 if b'"error"' in call("/api/pull", {"model": model}) else 0
            case "run":
                call("/api/generate", {"model": model, "keep_alive": -1})
            case _:
                return 2
    except httpx.HTTPError:
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
