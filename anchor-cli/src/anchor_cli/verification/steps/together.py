"""Step 7: the whole mesh: one turn, then everything at once."""

from __future__ import annotations

import asyncio
from dataclasses import asdict

from anchor_cli.client.audio_files import load_clip, save_speech
from anchor_cli.client.session_client import open_session
from anchor_cli.client.turn import TurnResult, run_turn
from anchor_cli.client.waterfall import budget_ms, reached_stages
from anchor_cli.verification.checks.together import TogetherFigures, check_together
from anchor_cli.verification.clients.ollama_client import chat, find_loaded
from anchor_cli.verification.clients.recognition_client import transcribe
from anchor_cli.verification.clients.speech_client import speak
from anchor_cli.verification.equipment.equipment import MeshAddresses
from anchor_cli.verification.outcome import Outcome
from anchor_cli.verification.steps.round_trip import SENTENCES
from anchor_cli.verification.workbench import Workbench


async def verify_together(bench: Workbench) -> Outcome:
    """Run one turn as `anchor demo` does, then voices, a reply and a transcript at the same time."""
    clip = load_clip(bench.root / bench.settings.self_test_wav)
    async with bench.equipment.mesh() as mesh:
        turn = await run_one_turn(mesh, clip)
        factors = await _run_load(mesh, clip)
        loaded = await find_loaded(mesh.ollama)
    bench.sound.mkdir(parents=True, exist_ok=True)
    save_speech(bench.sound / "reply.wav", bytes(turn.reply.pcm))
    figures = TogetherFigures(
        transcript=turn.transcript,
        reply_engine=turn.engine,
        response_ms=turn.response_ms,
        budget_ms=budget_ms(turn.waterfall),
        underruns=turn.reply.underruns,
        realtime_factors=factors,
        host_memory_bytes=loaded.size_bytes - loaded.size_vram_bytes,
    )
    stages = {stage.name: stage.at_ms for stage in reached_stages(turn.waterfall)} if turn.waterfall else {}
    return Outcome(check_together(figures), {**asdict(figures), "stages_ms": stages})


async def run_one_turn(mesh: MeshAddresses, clip: bytes) -> TurnResult:
    """One question and its reply in a session of its own. Raises `AnchorError`."""
    async with open_session(mesh.audio_url, language="en", headers=mesh.headers) as session:
        return await run_turn(session, clip)


async def _run_load(mesh: MeshAddresses, clip: bytes) -> tuple[float, ...]:
    """Speak in all slots beside a reply and a transcript; the time for each second of speech, by voice."""
    texts = [SENTENCES[number % 4][2] for number in range(mesh.voices)]
    async with asyncio.TaskGroup() as tasks:
        speaking = [tasks.create_task(speak(mesh.tts_target, text, "en")) for text in texts]
        tasks.create_task(transcribe(mesh.stt_target, clip, "en", paced=True))
        tasks.create_task(chat(mesh.ollama, [{"role": "user", "content": "Tell me about the sea."}], 100))
    return tuple(task.result().realtime_factor for task in speaking)
