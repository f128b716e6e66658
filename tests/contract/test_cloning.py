"""A voice is cloned over REST, by the real tts-service and stt-service on scripted engines, heard, and deleted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path
from wave import open as open_wav

import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from orchestrator.api.audio.uploads import Uploads
from orchestrator.api.errors import add_error_handlers
from orchestrator.api.http import openai_speech, voice_consents, voices
from orchestrator.api.limits import ApiLimits
from orchestrator.clients.engine_memory import RemoteEngineControl
from orchestrator.clients.stt import SttClient
from orchestrator.clients.tts import TtsClient
from orchestrator.clients.voices import VoiceWatch
from orchestrator.memory_pressure.on_demand import OnDemandVoiceStore
from orchestrator.memory_pressure.parkable_engine import ParkableEngine
from service_kit.http.server import http_server
from stt_service.app import build as build_stt
from stt_service.settings import SttSettings
from tts_service.app import build as build_tts
from tts_service.settings import TtsSettings

PORTS = {"grpc_port": 0, "http_port": 0, "drain_s": 0}
STATEMENT = "I consent that this anchor speaks with my voice"


def write_script(folder: Path, voices_folder: Path | None) -> Path:
    path = folder / "script.toml"
    path.write_text(
        f'[stt]\ntranscripts = ["{STATEMENT}"]\nfinal_after = "flush"\nfinal_delay_ms = 10\n'
        "[tts]\nfirst_audio_delay_ms = 5\nreal_time_factor = 0\n"
        + ("" if voices_folder is None else f"voices = {json.dumps(str(voices_folder))}\n")
    )
    return path


def tone_wav(pitch_hz: float, seconds: float = 3.0) -> bytes:
    made = BytesIO()
    with open_wav(made, "wb") as wav:
        wav.setparams((1, 2, 48_000, 0, "NONE", ""))
        phase = np.arange(int(seconds * 48_000)) * (2 * np.pi * pitch_hz / 48_000)
        wav.writeframes((8000 * np.sin(phase)).astype("<i2").tobytes())
    return made.getvalue()


def pitch_hz(wav: bytes) -> float:
    with open_wav(BytesIO(wav)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        return float(np.argmax(np.abs(np.fft.rfft(samples)))) * file.getframerate() / samples.size


class Studio:
    """The routes of voices on real services, and the watch of the voices that every session follows."""

    def __init__(self, http: httpx.AsyncClient, watch: VoiceWatch) -> None:
        self.http = http
        self.watch = watch


@asynccontextmanager
async def studio(run_service, script: Path) -> AsyncGenerator[Studio]:
    async with (
        run_service(build_tts(TtsSettings(engine="scripted", script=script, **PORTS))) as tts_channel,
        run_service(build_stt(SttSettings(engine="scripted", script=script, **PORTS))) as stt_channel,
    ):
        tts, stt, limits = TtsClient(tts_channel), SttClient(stt_channel), ApiLimits()
        watch = VoiceWatch(tts)
        engine = ParkableEngine("tts", RemoteEngineControl(tts_channel, "tts"))
        store = OnDemandVoiceStore(tts, engine, watch.refresh)
        app, uploads = FastAPI(), Uploads(limits)
        consents = voice_consents.Consents(stt, uploads, limits)
        adding = voices.VoiceAdding(store, consents, stt, uploads, limits)
        app.include_router(voices.routes(adding, store, uploads, limits))
        app.include_router(voice_consents.routes(consents, store, uploads, limits))
        app.include_router(openai_speech.routes(tts, uploads, limits))
        add_error_handlers(app)
        server = http_server(app, "127.0.0.1", 0)
        serving = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.005)
        address = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        try:
            async with httpx.AsyncClient(base_url=address, timeout=30) as http:
                yield Studio(http, watch)
        finally:
            server.should_exit = True
            await serving


def files_below(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


async def test_voice_is_cloned_heard_and_deleted_without_a_trace(run_service, tmp_path: Path) -> None:
    folder = tmp_path / "voices"
    async with studio(run_service, write_script(tmp_path, folder)) as made:
        await made.watch.refresh()
        recorded = await made.http.post(
            voice_consents.PATH,
            data={"name": "Ana Silva", "language": "en-US"},
            files={"recording": ("consent.wav", tone_wav(300))},
        )
        assert recorded.status_code == 200, recorded.text
        adding = await made.http.post(
            voices.PATH,
            data={"name": "Ana", "consent": recorded.json()["id"], "language": "en", "transcript": "good evening"},
            files={"audio_sample": ("ana.wav", tone_wav(500))},
        )
        assert adding.status_code == 200, adding.text
        voice = adding.json()
        assert voice["consent"]["name"] == "Ana Silva"
        # Every session follows this list: it has the voice at once.
        assert [(choice.id, choice.cloned) for choice in made.watch.latest.value] == [
            ("tone", False),
            (voice["id"], True),
        ]
        assert files_below(folder) == [voice["id"], "consent.json", "consent.wav", "pitch.npy", "voice.json"]
        stored = json.loads((folder / voice["id"] / "consent.json").read_text("utf-8"))
        assert (stored["statement"], stored["name"]) == (STATEMENT, "Ana Silva")
        spoken = await made.http.post(
            openai_speech.PATH, json={"input": "Good evening, all.", "voice": {"id": voice["id"]}}
        )
        assert spoken.status_code == 200, spoken.text
        assert pitch_hz(spoken.content) == pytest.approx(500, abs=3)
        deleted = await made.http.delete(f"{voices.PATH}/{voice['id']}")
        assert deleted.status_code == 200, deleted.text
        assert files_below(folder) == []
        assert [choice.id for choice in made.watch.latest.value] == ["tone"]


async def test_refusals_of_the_voice_service_reach_the_client(run_service, tmp_path: Path) -> None:
    async with studio(run_service, write_script(tmp_path, tmp_path / "voices")) as made:
        for sample, consent, code in (
            (tone_wav(500, 1), STATEMENT, "tts.reference_length"),
            (tone_wav(500, 20), STATEMENT, "tts.reference_length"),
            (tone_wav(500), "agreed", "tts.consent_statement"),
        ):
            refused = await made.http.post(
                voices.PATH,
                data={"name": "Ana", "consent": consent, "language": "en", "transcript": "good evening"},
                files={"audio_sample": ("ana.wav", sample)},
            )
            assert (refused.status_code, refused.json()["error"]["code"]) == (400, code)
    assert files_below(tmp_path / "voices") == []


async def test_installation_without_cloning_refuses_with_advice(run_service, tmp_path: Path) -> None:
    async with studio(run_service, write_script(tmp_path, None)) as made:
        refused = await made.http.post(
            voices.PATH,
            data={"name": "Ana", "consent": STATEMENT, "language": "en", "transcript": "good evening"},
            files={"audio_sample": ("ana.wav", tone_wav(500))},
        )
        assert (refused.status_code, refused.json()["error"]["code"]) == (501, "tts.cloning_unsupported")
        assert "pocket-tts" in refused.json()["error"]["message"]
        support = (await made.http.get(voices.PATH)).json()["cloning"]
        assert (support["available"], support["reason"]) == (False, refused.json()["error"]["message"])


async def test_unknown_voice_does_not_speak(run_multiplexed, tmp_path: Path) -> None:
    async with studio(run_multiplexed, write_script(tmp_path, tmp_path / "voices")) as made:
        silent = await made.http.post(openai_speech.PATH, json={"input": "Good evening.", "voice": "ana-12345678"})
        assert (silent.status_code, silent.json()["error"]["code"]) == (400, "tts.unknown_voice")
