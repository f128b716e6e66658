"""The real equipment: the card of this machine, and the project's containers."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from service_kit.engines.hub import HubModel, read_hub_models
from service_kit.errors import EngineFailed, NotFound

from anchor_cli.doctor.machine import Machine
from anchor_cli.model_store.command import build_store
from anchor_cli.plan.detection import NVIDIA_SMI, parse_nvidia_smi
from anchor_cli.plan.ladder import MemoryPlan
from anchor_cli.settings import MeshSettings
from anchor_cli.verification.equipment.equipment import (
    MeshAddresses,
    OllamaServer,
    RecognitionServers,
    VoiceModels,
)
from anchor_cli.verification.processes import run_command
from anchor_cli.verification.subject import of_the_card

_PROFILE = "gpu"
_MODEL, _CODEC = "higgs-audio-v2", "higgs-audio-v2-tokenizer"
# A first start builds images, and fetches 14 GB for Ollama.
_UP_TIMEOUT_S = 3 * 3600.0
_COMMAND_TIMEOUT_S = 300.0
_OLLAMA_PORT, _SERVER_PORT = 11434, 8000
_STT_PORT, _TTS_PORT, _GPU_PORT = 9081, 9083, 9084
_ON_CARD = ("tts-service", "ollama-gpu", "voxtral", "stt-service")


@dataclass(frozen=True, slots=True)
class ContainerEquipment:
    """Containers of compose.yaml; the ports that it does not publish are reached by the containers' addresses."""

    settings: MeshSettings
    machine: Machine
    plan: MemoryPlan
    console: Console
    log: Path
    torch_python: Sequence[str]
    offline: bool
    rehearsal: bool = False

    async def fetch_models(self, *, offline: bool) -> Sequence[HubModel]:
        """Fetch the models of the profile, or alternatives that are there already. Raises `AnchorError`."""
        lock = self.settings.root / self.settings.models_lock
        wanted = [model for model in read_hub_models(lock, self.models_folder()).values() if _PROFILE in model.profiles]
        names = [self._source_of(model) for model in wanted]
        build_store(self.settings, self.console).pull(names, offline=offline, trust_on_first_use=True)
        models = read_hub_models(lock, self.models_folder())
        return [models[name] for name in names]

    def _source_of(self, model: HubModel) -> str:
        """The model's name, or that of an alternative which was fetched in its place."""
        folders = [self.models_folder() / name for name in (model.name, *model.alternatives)]
        return next((folder.name for folder in folders if any(folder.glob("*.safetensors"))), model.name)

    def models_folder(self) -> Path:
        """The models folder of the settings."""
        return (self.settings.root / self.settings.models_dir).resolve()

    def voice_models(self) -> VoiceModels:
        """The folders that `anchor pull` fills: the first with weights, where the codec has several sources."""
        folder = self.models_folder()
        codecs = sorted(path for path in folder.glob(f"{_CODEC}*") if any(path.glob("*.safetensors")))
        return VoiceModels(folder / _MODEL, codecs[0] if codecs else folder / _CODEC)

    async def card_in_container(self) -> str:
        """The card as nvidia-smi prints it in Ollama's image."""
        pull = ("--pull", "never") if self.offline else ()
        try:
            config: dict[str, Any] = json.loads(await self._compose("config", "--format", "json"))
            image = str(config["services"]["ollama-gpu"]["image"])
            command = ("docker", "run", "--rm", *pull, "--gpus", "all", "--entrypoint", "nvidia-smi", image, "-L")
            return (await run_command(command, self.log, timeout_s=_UP_TIMEOUT_S)).strip()
        except EngineFailed as error:
            self.console.print(error.message, soft_wrap=True, markup=False)
            return ""

    async def used_bytes(self) -> int | None:
        """Memory in use on the card, by nvidia-smi."""
        answer = self.machine.run_command(*of_the_card(NVIDIA_SMI, os.environ))
        cards = parse_nvidia_smi(answer.output) if answer.succeeded else []
        return cards[0].used_mib * 2**20 if cards else None

    async def clear_card(self) -> None:
        """Stop the containers on the card."""
        await self._compose("stop", *_ON_CARD)

    @asynccontextmanager
    async def language_model(self) -> AsyncGenerator[OllamaServer]:
        """Ollama alone."""
        await self.clear_card()
        await self._up("--no-deps", "ollama-gpu")
        yield await self._ollama()

    @asynccontextmanager
    async def recognition(self) -> AsyncGenerator[RecognitionServers]:
        """vLLM, after tts-service and Ollama, on which compose.yaml lets it wait."""
        await self._up("voxtral", "stt-service")
        server = await self._address("voxtral")
        yield RecognitionServers(f"{await self._address('stt-service')}:{_STT_PORT}", f"http://{server}:{_SERVER_PORT}")

    @asynccontextmanager
    async def speech(self) -> AsyncGenerator[str]:
        """tts-service."""
        await self._up("tts-service")
        yield f"{await self._address('tts-service')}:{_TTS_PORT}"

    @asynccontextmanager
    async def mesh(self) -> AsyncGenerator[MeshAddresses]:
        """All containers, as `make up` starts them."""
        await self._up()
        yield MeshAddresses(
            audio_url=self.settings.audio_url,
            api_url=self.settings.address,
            headers=self.settings.authorization,
            gpu_target=f"{await self._address('gpu-monitor')}:{_GPU_PORT}",
            tts_target=f"{await self._address('tts-service')}:{_TTS_PORT}",
            stt_target=f"{await self._address('stt-service')}:{_STT_PORT}",
            ollama=await self._ollama(),
            voices=self.plan.service("tts").choice.slots,
        )

    async def _up(self, *arguments: str) -> None:
        """Start containers and wait until they are healthy; offline with the images that are there."""
        images = ("--pull", "never") if self.offline else ("--build",)
        await self._compose("up", *images, "--wait", "--detach", *arguments)

    async def _ollama(self) -> OllamaServer:
        config: dict[str, Any] = json.loads(await self._compose("config", "--format", "json"))
        model = str(config["services"]["ollama-gpu"]["environment"]["OLLAMA_MODEL_NAME"])
        context = self.plan.service("llm").choice.context_tokens
        return OllamaServer(f"http://{await self._address('ollama-gpu')}:{_OLLAMA_PORT}", model, context)

    async def _address(self, service: str) -> str:
        """The container's address, which this host can reach. Raises `NotFound` (`verify.no_container`)."""
        container = (await self._compose("ps", "--quiet", service)).strip()
        if not container:
            raise NotFound("verify.no_container", f"the container of {service} does not run")
        inspected = await run_command(("docker", "inspect", container), self.log, timeout_s=_COMMAND_TIMEOUT_S)
        networks: Mapping[str, Any] = json.loads(inspected)[0]["NetworkSettings"]["Networks"]
        addresses = [str(network["IPAddress"]) for network in networks.values() if network.get("IPAddress")]
        if not addresses:
            raise NotFound("verify.no_container", f"the container of {service} has no address")
        return addresses[0]

    async def _compose(self, *arguments: str) -> str:
        """Run `docker compose`. Raises `EngineFailed` with the last lines of its output."""
        profiles = ("--profile", "gpu", "--profile", "voxtral")
        command = ("docker", "compose", "--project-directory", str(self.settings.root), *profiles, *arguments)
        return await run_command(command, self.log, timeout_s=_UP_TIMEOUT_S)
