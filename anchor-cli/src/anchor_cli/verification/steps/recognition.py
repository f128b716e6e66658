"""Step 5: recognition, beside the voice and the language model."""

from __future__ import annotations

from dataclasses import asdict

from service_kit.audio import MICROPHONE

from anchor_cli.client.audio_files import load_clip
from anchor_cli.mesh.self_test import spoken_text
from anchor_cli.verification.checks.recognition import RecognitionFigures, check_recognition
from anchor_cli.verification.clients.recognition_client import transcribe
from anchor_cli.verification.clients.transcription_server import TranscriptionServer
from anchor_cli.verification.outcome import Outcome
from anchor_cli.verification.words import word_error_rate
from anchor_cli.verification.workbench import Workbench

# Long enough to be met while it is transcribed.
_CANCELLED_S = 25
_SILENCE_MS = 3000


async def verify_recognition(bench: Workbench) -> Outcome:
    """Transcribe the question and silence, cancel a request, sleep and wake."""
    recording = bench.root / bench.settings.self_test_wav
    clip, words = load_clip(recording), spoken_text(recording)
    async with bench.equipment.recognition() as servers:
        server = TranscriptionServer(servers.server_url)
        # The first request of a server compiles.
        await transcribe(servers.stt_target, clip, "en", paced=False)
        final = await transcribe(servers.stt_target, clip, "en", paced=False)
        paced = await transcribe(servers.stt_target, clip, "en", paced=True)
        silence = await transcribe(servers.stt_target, bytes(MICROPHONE.bytes_for(_SILENCE_MS)), "en", paced=False)
        repeats = -(-MICROPHONE.bytes_for(_CANCELLED_S * 1000) // len(clip))
        cancel_s = await server.time_cancel((clip * repeats)[: MICROPHONE.bytes_for(_CANCELLED_S * 1000)])
        has_sleep_mode = await server.has_sleep_mode()
        freed, woken = None, None
        if has_sleep_mode:
            freed = await _sleep_and_wake(bench, server)
            woken = (await transcribe(servers.stt_target, clip, "en", paced=False)).text
    figures = RecognitionFigures(
        transcript=final.text,
        word_error_rate=word_error_rate(words, final.text),
        final_s=final.final_s,
        partials=len(paced.partials),
        partial_word_error_rate=word_error_rate(words, paced.partials[-1]) if paced.partials else None,
        silence_transcript=silence.text,
        cancel_s=cancel_s,
        freed_bytes=freed,
        has_sleep_mode=has_sleep_mode,
        woken_word_error_rate=None if woken is None else word_error_rate(words, woken),
    )
    return Outcome(check_recognition(figures), asdict(figures))


async def _sleep_and_wake(bench: Workbench, server: TranscriptionServer) -> int | None:
    """The bytes that sleeping frees on the card; None where the driver does not report them."""
    before = await bench.equipment.used_bytes()
    await server.sleep()
    try:
        asleep = await bench.equipment.used_bytes()
    finally:
        await server.wake()
    return None if before is None or asleep is None else before - asleep
