"""Step 6: the voice's words through recognition. The one check that needs no listener."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from anchor_cli.client.audio_files import load_clip, save_speech
from anchor_cli.verification.checks.round_trip import SpokenSentence, check_round_trip
from anchor_cli.verification.clients.recognition_client import transcribe
from anchor_cli.verification.clients.speech_client import speak
from anchor_cli.verification.outcome import Outcome
from anchor_cli.verification.steps.voice import SENTENCE
from anchor_cli.verification.words import word_error_rate
from anchor_cli.verification.workbench import Workbench

# File, language and text: numbers as words, a name, a question, a list, German.
SENTENCES = (
    ("numbers", "en", "The train leaves at half past seven from platform twelve."),
    ("name", "en", "Doctor Margaret Wilson will open the new library on Thursday."),
    ("question", "en", "Would you like to hear the weather for the weekend?"),
    ("list", "en", "Please bring bread, butter, apples and a bottle of milk."),
    ("german", "de", "Die Sonne geht im Osten auf und im Westen unter."),
)


async def verify_round_trip(bench: Workbench) -> Outcome:
    """Speak, save, and transcribe every sentence."""
    bench.sound.mkdir(parents=True, exist_ok=True)
    async with bench.equipment.recognition() as servers, bench.equipment.speech() as tts_target:
        sentences = [await _recognise(servers.stt_target, file, "en", SENTENCE) for file in _files_of_voice_step(bench)]
        for name, language, text in SENTENCES:
            file = bench.sound / f"{name}.wav"
            save_speech(file, (await speak(tts_target, text, language)).pcm)
            sentences.append(await _recognise(servers.stt_target, file, language, text))
    return Outcome(check_round_trip(sentences), {"sentences": [asdict(sentence) for sentence in sentences]})


def _files_of_voice_step(bench: Workbench) -> list[Path]:
    names = [str(sentence["file"]) for sentence in bench.figures_of("voice").get("sentences", ())]
    return [path for name in names if (path := bench.sound / name).is_file()]


async def _recognise(stt_target: str, file: Path, language: str, text: str) -> SpokenSentence:
    heard = await transcribe(stt_target, load_clip(file), language, paced=False)
    return SpokenSentence(text, heard.text, word_error_rate(text, heard.text), file.name)
