"""The equipment of a rehearsal: tiny models with random weights, test servers, and this machine's processes.

The same services as in the containers run here, on free ports. What they say is noise; that every step runs is what a
rehearsal shows.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import socket
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from service_kit.engines.hub import MOVING, SUFFIXES, HubFile, HubModel, read_hub_models, trust

from anchor_cli.mesh.programs import mesh_programs, program_environment
from anchor_cli.settings import MeshSettings
from anchor_cli.verification.equipment.equipment import (
    MeshAddresses,
    OllamaServer,
    RecognitionServers,
    VoiceModels,
)
from anchor_cli.verification.processes import project_environment, run_command, running_server

_START_TIMEOUT_S = 120.0
_MODEL, _CODEC = "higgs-audio-v2", "higgs-audio-v2-tokenizer"
_LLM, _LLM_CONTEXT_TOKENS = "rehearsal", 8192
_CONTEXT_TOKENS, _SLOTS = 768, 2
_ELSEWHERE = ("_TARGET", "_HEALTH_URL")
# Any commit: the tiny models are in no repository.
_COMMIT = hashlib.sha1(b"rehearsal", usedforsecurity=False).hexdigest()
_SCRIPT = """
[llm]
replies = ["It will be sunny."]
first_token_delay_ms = 0
"""
_SERVICES = ("vad", "stt", "tts", "gpu", "orchestrator")


class RehearsalEquipment:
    """Starts each server at its first use, and ends all on leaving the context."""

    rehearsal = True

    def __init__(self, settings: MeshSettings, folder: Path, torch_python: Sequence[str]) -> None:
        """`folder` receives the models and the logs."""
        self.torch_python = torch_python
        self._root = settings.root.resolve()
        self._folder = folder
        self._settings = settings.model_copy(update=_free_ports())
        self._servers = AsyncExitStack()
        self._llm_port, self._server_port = _free_port(), _free_port()
        self._started: set[str] = set()

    async def __aenter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        script = self._folder / "ollama.toml"
        await self._servers.__aenter__()
        await asyncio.to_thread(script.write_text, _SCRIPT, "utf-8")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._servers.__aexit__(kind, error, traceback)

    async def fetch_models(self, *, offline: bool) -> Sequence[HubModel]:
        """Write the tiny models, and record their hashes as a first download does."""
        await asyncio.to_thread(shutil.rmtree, self.models_folder(), ignore_errors=True)
        tests = self._root / "tests/engines"
        environment = project_environment(self._root, {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"})
        environment["PYTHONPATH"] += os.pathsep + str(tests)
        folders = self.voice_models()
        program = [*self.torch_python, "-m", "voice_check.tiny_models", str(folders.model), str(folders.codec)]
        await run_command(program, self._log("tiny_models"), timeout_s=_START_TIMEOUT_S, env=environment)
        lock = self._folder / "models.lock"
        lock.write_text("".join(_lock_row(name) for name in (_MODEL, _CODEC)), "utf-8")
        for name in (_MODEL, _CODEC):
            self._trust_files(HubModel(name, f"rehearsal/{name}", MOVING, "none", (), ("gpu",)))
        return list(read_hub_models(lock, self.models_folder()).values())

    def _trust_files(self, model: HubModel) -> None:
        pinned = HubModel(model.name, model.repository, _COMMIT, model.licence, (HubFile("config.json"),))
        for path in sorted((self.models_folder() / model.name).iterdir()):
            if path.suffix in SUFFIXES:
                content = path.read_bytes()
                file = HubFile(path.name, hashlib.sha256(content).hexdigest(), len(content))
                trust(pinned, file, self.models_folder())

    def models_folder(self) -> Path:
        """The folder of the tiny models."""
        return self._folder / "models"

    def voice_models(self) -> VoiceModels:
        """The tiny speech model and its codec."""
        return VoiceModels(self.models_folder() / _MODEL, self.models_folder() / _CODEC)

    async def card_in_container(self) -> str:
        """No card."""
        return "no card: a rehearsal runs on the processor"

    async def used_bytes(self) -> int | None:
        """No card, no figure."""
        return None

    async def clear_card(self) -> None:
        """Nothing is on a card."""

    @asynccontextmanager
    async def language_model(self) -> AsyncGenerator[OllamaServer]:
        """The stub that speaks Ollama's protocol."""
        url = f"http://127.0.0.1:{self._llm_port}"
        stub = str(self._root / "orchestrator/tests/ollama_stub.py")
        script = ("--port", str(self._llm_port), "--script", str(self._folder / "ollama.toml"))
        await self._start("ollama", [sys.executable, stub, *script], f"{url}/api/version", {})
        yield OllamaServer(url, _LLM, _LLM_CONTEXT_TOKENS)

    @asynccontextmanager
    async def recognition(self) -> AsyncGenerator[RecognitionServers]:
        """stt-service with the engine for vLLM, in front of a stub of vLLM."""
        url = f"http://127.0.0.1:{self._server_port}"
        stub = str(self._root / "stt-service/tests/transcription_stub.py")
        await self._start("voxtral", [sys.executable, stub, "--port", str(self._server_port)], f"{url}/health", {})
        await self._start_service("stt", [sys.executable])
        yield RecognitionServers(f"127.0.0.1:{self._settings.stt_grpc_port}", url)

    @asynccontextmanager
    async def speech(self) -> AsyncGenerator[str]:
        """tts-service with the tiny speech model."""
        await self._start_service("tts", self.torch_python)
        yield f"127.0.0.1:{self._settings.tts_grpc_port}"

    @asynccontextmanager
    async def mesh(self) -> AsyncGenerator[MeshAddresses]:
        """The mesh: these servers, and the other services."""
        async with (
            self.language_model() as ollama,
            self.recognition() as recognition,
            self.speech() as tts_target,
            asyncio.TaskGroup() as tasks,
        ):
            for name in ("vad", "gpu"):
                tasks.create_task(self._start_service(name, [sys.executable]))
        await self._start_service("orchestrator", [sys.executable])
        yield MeshAddresses(
            audio_url=self._settings.audio_url,
            api_url=self._settings.address,
            headers={},
            gpu_target=f"127.0.0.1:{self._settings.gpu_grpc_port}",
            tts_target=tts_target,
            stt_target=recognition.stt_target,
            ollama=ollama,
            voices=_SLOTS,
        )

    async def _start_service(self, name: str, python: Sequence[str]) -> None:
        program = next(program for program in mesh_programs(self._settings) if program.name == name)
        environment = project_environment(self._root, self._service_environment())
        url = f"http://127.0.0.1:{program.http_port}{program.ready_path}"
        await self._start(name, [*python, "-m", program.module], url, environment)

    def _service_environment(self) -> dict[str, str]:
        folders = self.voice_models()
        own = {
            "STT_ENGINE": "voxtral",
            "STT_VOXTRAL_URL": f"http://127.0.0.1:{self._server_port}/v1",
            "TTS_ENGINE": "higgs",
            "TTS_FALLBACK_ENGINES": "[]",
            "TTS_HIGGS_MODEL": str(folders.model),
            "TTS_HIGGS_CODEC": str(folders.codec),
            "TTS_HIGGS_DEVICE": "cpu",
            "TTS_HIGGS_SLOTS": str(_SLOTS),
            "TTS_HIGGS_CONTEXT_TOKENS": str(_CONTEXT_TOKENS),
            "ORCHESTRATOR_LLM": "ollama",
            "OLLAMA_URL": f"http://127.0.0.1:{self._llm_port}",
            "OLLAMA_MODEL_NAME": _LLM,
            "LLM_OLLAMA_CONTEXT_TOKENS": str(_LLM_CONTEXT_TOKENS),
            "ANCHOR_MODELS": "minimal",
            "OMP_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1",
            "SHARED_SECRET": "",
        }
        # Services that run elsewhere have no part in a rehearsal.
        inherited = {name: value for name, value in os.environ.items() if not name.endswith(_ELSEWHERE)}
        return program_environment(self._settings, {**inherited, **own})

    async def _start(self, name: str, command: Sequence[str], ready_url: str, environment: Mapping[str, str]) -> None:
        if name in self._started:
            return
        server = running_server(
            command, self._log(name), ready_url, timeout_s=_START_TIMEOUT_S, env={**os.environ, **environment}
        )
        await self._servers.enter_async_context(server)
        self._started.add(name)

    def _log(self, name: str) -> Path:
        return self._folder / f"{name}.log"


def _lock_row(name: str) -> str:
    fields = {"kind": "hub", "name": name, "repository": f"rehearsal/{name}", "revision": MOVING, "licence": "none"}
    lines = [f'{field} = "{value}"' for field, value in fields.items()]
    return "\n".join(["[[model]]", *lines, 'profiles = ["gpu"]', "files = []", "", ""])


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _free_ports() -> dict[str, int]:
    names = [f"{service}_{api}_port" for service in _SERVICES for api in ("grpc", "http")]
    with ExitStack() as probes:
        servers = [probes.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in names]
        return {name: int(server.getsockname()[1]) for name, server in zip(names, servers, strict=True)}
