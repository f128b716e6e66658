"""The default models of a machine without a GPU: words, topics, voice, barge-in, and damaged model files."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from anchor.session.v1 import session_pb2
from anchor_cli.client.audio_files import load_clip
from anchor_cli.client.session_client import ServerEvent, open_session
from anchor_cli.client.turn import TurnResult, run_turn
from mesh_launcher import PROJECT, RunningMesh, launch_mesh
from service_kit.audio import MICROPHONE

pytestmark = pytest.mark.e2e


def words(text: str) -> list[str]:
    """The words of a text, without case and punctuation."""
    return re.findall(r"[a-z']+", text.lower())


def health(port: int, path: str = "health") -> dict[str, Any]:
    """The health report, or another one, of the service on this HTTP port."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=5) as response:
        return json.load(response)


async def ask_all(mesh: RunningMesh, clips: Sequence[bytes]) -> Sequence[tuple[TurnResult, Sequence[ServerEvent]]]:
    """Play each clip in a conversation of its own, in which no language is named; return the turns and all events."""
    asked: list[tuple[TurnResult, Sequence[ServerEvent]]] = []
    for clip in clips:
        async with open_session(mesh.url) as talk:
            asked.append((await run_turn(talk, clip, listen_s=0.2), talk.events))
    return asked


async def test_shipped_questions_are_understood_and_answered(default_mesh, questions, topic_of) -> None:
    # `make test QUESTIONS=all` asks all sixteen.
    chosen = questions if os.environ.get("QUESTIONS") == "all" else questions[::4]
    wrong_topics: list[str] = []
    spoken, misheard = 0, 0
    asked = await ask_all(default_mesh, [load_clip(question.path) for question in chosen])
    for question, (turn, _) in zip(chosen, asked, strict=True):
        spoken += len(words(question.text))
        misheard += len(set(words(question.text)) ^ set(words(turn.transcript)))
        if topic_of(turn.reply.text) != question.topic:
            wrong_topics.append(f"{question.path.name}: {turn.transcript!r} → {turn.reply.text[:60]!r}")
    # One question is answered by Moonshine's words alone, which a busy machine has too late.
    assert len(wrong_topics) <= 1, wrong_topics
    # Synthetic speakers; a wrong word counts twice, as missing and as additional.
    assert misheard <= 0.2 * spoken


async def test_engines_of_the_default_models_serve(default_mesh: RunningMesh) -> None:
    settings = default_mesh.settings
    stt, tts = health(settings.stt_http_port), health(settings.tts_http_port)
    assert stt["engine"] == "whisper"
    assert "hibari" in tts["engine"]
    for report in (stt, tts, health(settings.orchestrator_http_port)):
        assert report["status"] == "ready", report
        assert not report.get("degraded"), report
    assert health(settings.orchestrator_http_port, "info")["language"] == "auto"


async def test_words_over_the_neural_voice_stop_it_at_once(default_mesh, questions, topic_of) -> None:
    async with open_session(default_mesh.url) as talk:
        await talk.play_clip(load_clip(questions[0].path))
        turn_id = (await talk.wait_for("reply_audio", within_s=15)).message.turn_id
        await asyncio.sleep(1.5)
        await talk.play_clip(load_clip(questions[1].path))
        finished = await talk.wait_for("reply_finished", within_s=15)
        answer = await talk.wait_for("reply_audio", within_s=15)
        stop = next(event for event in talk.events if event.name == "playback_stop")
        heard = talk.speaker.reply(turn_id)
    assert finished.message.interrupted
    assert heard.text.startswith(finished.message.heard_text)
    assert finished.message.heard_ms == pytest.approx(heard.played_ms, abs=150)
    assert stop.message.turn_id == turn_id
    assert topic_of(talk.speaker.reply(answer.message.turn_id).text) == questions[1].topic


# Parts of recordings, in ms: a cough, laughter, an "um". Moonshine finds words in them ("Question.", "Says the.").
SOUNDS_WITHOUT_WORDS = (
    ("en-cold-corpus-3.wav", 16_980, 18_300),
    ("en-mfa-laughter.wav", 9_060, 9_900),
    ("en-mfa-uhum.wav", 3_000, 3_800),
)


async def verdicts_on(mesh: RunningMesh, pcm: bytes) -> list[int]:
    """The verdicts on a sound over a reply."""
    async with open_session(mesh.url, language="en") as talk:
        await talk.send_message("text_input", text="What is the weather at the weekend?")
        await talk.wait_for("reply_audio", within_s=15)
        await asyncio.sleep(1)
        await talk.play_clip(pcm)
        await talk.wait_for("barge_in_settled", within_s=15)
        return [event.message.verdict for event in talk.events if event.name == "barge_in_settled"]


async def test_words_guessed_in_coughs_and_laughter_do_not_stop_the_voice(default_mesh, recording_of) -> None:
    for name, start_ms, end_ms in SOUNDS_WITHOUT_WORDS:
        pcm = load_clip(recording_of(name))[MICROPHONE.bytes_for(start_ms) : MICROPHONE.bytes_for(end_ms)]
        # On a machine that is so busy that transcripts are late, half a second of sound stops it.
        assert session_pb2.BARGE_IN_VERDICT_STOP_WORDS not in await verdicts_on(default_mesh, pcm), name


async def test_single_word_of_a_person_stops_the_neural_voice(default_mesh, recording_of) -> None:
    (verdict,) = await verdicts_on(default_mesh, load_clip(recording_of("en-cv-no.wav")))
    assert verdict in (session_pb2.BARGE_IN_VERDICT_STOP_WORDS, session_pb2.BARGE_IN_VERDICT_STOP_DURATION)


# Recording, its part in seconds, language, a word of it, and a word of "I know nothing about that" in the language.
PEOPLE = (
    ("de-leichenhalle.wav", 0, 6, "de", "portal", "nichts"),
    ("fr-consulat.wav", 0, 7, "fr", "consulat", "rien"),
    ("es-rhino-luz.wav", 0, 5, "es", "habitación", "nada"),
    ("it-assistente.wav", 5, 10.2, "it", "dispositivo", "niente"),
    ("en-goforward.wav", 0, 3, "en", "forward", "nothing"),
)


async def test_people_are_answered_in_the_language_they_speak(default_mesh, recording_of) -> None:
    clips = [
        load_clip(recording_of(name))[MICROPHONE.bytes_for(1000 * from_s) : MICROPHONE.bytes_for(1000 * to_s)]
        for name, from_s, to_s, *_ in PEOPLE
    ]
    asked = await ask_all(default_mesh, clips)
    for (name, _, _, language, heard, reply), (turn, events) in zip(PEOPLE, asked, strict=True):
        finals = [event.message for event in events if event.name == "final_transcript" and event.message.text]
        started = next(event.message for event in events if event.name == "session_started")
        assert started.language == "auto"
        assert {final.language for final in finals} == {language}, name
        assert all(final.language_probability > 0.5 for final in finals), name
        assert heard in turn.transcript.lower()
        assert reply in turn.reply.text


async def test_smaller_recogniser_replaces_half_fetched_ones(tmp_path: Path, questions) -> None:
    models = tmp_path / "models"
    shutil.copytree(PROJECT / "models", models, copy_function=_link, ignore=shutil.ignore_patterns("*.gguf", "kokoro"))
    for folder in ("whisper-base", "whisper-tiny.en"):
        weights = models / folder / "model.bin"
        half = weights.read_bytes()[: weights.stat().st_size // 2]
        # The original is a hard link.
        weights.unlink()
        weights.write_bytes(half)
    with launch_mesh(ANCHOR_MODELS="default", ANCHOR_MODELS_DIR=str(models)) as mesh:
        report = health(mesh.settings.stt_http_port)
        async with open_session(mesh.url) as talk:
            turn = await run_turn(talk, load_clip(questions[0].path), listen_s=0.2)
    assert report["engine"] == "pocketsphinx"
    assert "whisper" in report["degraded"]
    assert turn.transcript
    assert turn.reply.received_ms > 0


def _link(source: str, target: str) -> str:
    Path(target).hardlink_to(source)
    return target
