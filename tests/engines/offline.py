"""Runs an engine in a process that exits on any network access."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

WATCHED = """
import os, sys

def watch(event, arguments):
    if event == "socket.getaddrinfo" or (event == "socket.connect" and isinstance(arguments[1], tuple)):
        print("network access:", event, arguments, flush=True)
        os._exit(7)

sys.addaudithook(watch)
"""
_PROGRAM = """
import asyncio
from pathlib import Path
from service_kit.engines.info import engine_class
from tts_service.engine import PhraseRequest, SynthesisConfig
from tts_service.engines import ENGINES
from tts_service.settings import TtsSettings

async def main():
    name, wav, settings = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    speech = engine_class(ENGINES, name)(TtsSettings.model_validate_json(settings))
    async with speech.lifespan():
        voice = await speech.add_voice("Ana", wav.read_bytes(), "hello", "en")
        async with speech.phrase_engine.synthesize(PhraseRequest(0, "hello"), SynthesisConfig(voice, "en")) as pieces:
            print(len([piece async for piece in pieces]))

asyncio.run(main())
"""


def spoken_offline(settings: str, engine: str, wav: Path) -> int:
    """Load the engine, clone a voice from `wav` and speak; return the number of pieces. `settings` are JSON.

    The process does not inherit the tests' environment, so only the engine keeps its libraries offline.
    """
    command = [sys.executable, "-c", WATCHED + _PROGRAM, engine, str(wav), settings]
    ended = subprocess.run(command, env={"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return int(ended.stdout.splitlines()[-1])
