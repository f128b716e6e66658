"""`/v1/audio/transcriptions` over a real server, and its captions."""

from __future__ import annotations

import asyncio
import wave
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from io import BytesIO
from typing import Any

import httpx
import pytest
from api_support import FakeSessions, recording, tone
from app_server import serve_app
from fastapi import FastAPI
from orchestrator.api.http import openai_transcriptions as transcriptions
from orchestrator.api.http.captions import Caption, make_captions, to_srt, to_vtt
from orchestrator.api.limits import ApiLimits
from orchestrator.api.routes import add_routes
from orchestrator.conversation.messages.server import Word
from orchestrator.conversation.model.ports import FinalTranscript, PartialTranscript, Transcript
from service_kit.audio import AudioChunk
from service_kit.errors import PeerFailed

LIMITS = ApiLimits(max_upload_bytes=200_000, max_upload_audio_s=5, max_uploads=1, decode_timeout_s=60)
WORDS = (Word("Good", 0, 200), Word("evening.", 200, 500), Word("The", 600, 700), Word("ferry.", 700, 1000))


@dataclass
class FakeStt:
    """Returns the same transcript for every recording."""

    text: str = "Good evening. The ferry."
    words: tuple[Word, ...] = WORDS
    fails: bool = False
    deaf: bool = False
    languages: list[str] = field(default_factory=list)
    heard: list[AudioChunk] = field(default_factory=list)
    flushed: bool = False
    open_now: int = 0

    @asynccontextmanager
    async def open(self, language: str) -> AsyncGenerator[FakeStt]:
        self.languages.append(language)
        self.open_now += 1
        try:
            yield self
        finally:
            self.open_now -= 1

    async def push_audio(self, chunk: AudioChunk) -> None:
        if self.fails:
            raise PeerFailed("stt.gone", "speech to text failed")
        self.heard.append(chunk)

    async def flush_segment(self, segment_id: int) -> None:
        self.flushed = True

    async def commit_segment(self, segment_id: int) -> None:
        raise AssertionError("a recording is one segment")

    async def transcripts(self) -> AsyncGenerator[Transcript]:
        if self.deaf:
            await asyncio.Event().wait()
        end_ms = self.heard[-1].end_ms
        yield PartialTranscript(1, "Good", 200)
        yield FinalTranscript(1, 1, "Good", end_ms // 2, "en")
        yield FinalTranscript(1, 2, self.text, end_ms, "en", words=self.words)


@pytest.fixture
def stt() -> FakeStt:
    return FakeStt()


@pytest.fixture
async def http(stt: FakeStt) -> AsyncGenerator[httpx.AsyncClient]:
    async with api_client(stt, LIMITS) as client:
        yield client


@asynccontextmanager
async def api_client(stt: FakeStt, limits: ApiLimits) -> AsyncGenerator[httpx.AsyncClient]:
    app = FastAPI()
    uploads = add_routes(app, FakeSessions(), limits)
    app.include_router(transcriptions.routes(stt, uploads, limits))
    async with serve_app(app) as address, httpx.AsyncClient(base_url=f"http://{address}", timeout=30) as client:
        yield client


def wav(seconds: float) -> bytes:
    file = BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(16_000)
        writer.writeframes(tone(seconds, 16_000).tobytes())
    return file.getvalue()


async def ask(http: httpx.AsyncClient, file: bytes | None = None, **fields: Any) -> httpx.Response:
    data = {name.replace("granularities", "timestamp_granularities[]"): value for name, value in fields.items()}
    files = {"file": ("speech.wav", wav(1.25) if file is None else file)}
    return await http.post(transcriptions.PATH, files=files, data={"model": "whisper-1", **data})


@pytest.mark.parametrize(("language", "asked"), [("en-US", "en"), ("auto", ""), ("", "")])
async def test_language_is_cut_to_its_primary_tag(http: httpx.AsyncClient, stt: FakeStt, language, asked) -> None:
    assert (await ask(http, language=language)).status_code == 200
    assert stt.languages == [asked]


async def test_recording_is_transcribed(http: httpx.AsyncClient, stt: FakeStt) -> None:
    answer = await ask(http, language="en", prompt="news", temperature="0")
    assert (answer.status_code, answer.json()) == (200, {"text": "Good evening. The ferry."})
    assert stt.languages == ["en"]
    assert b"".join(chunk.pcm for chunk in stt.heard) == tone(1.25, 16_000).tobytes()
    assert [chunk.start_ms for chunk in stt.heard[:3]] == [0, 100, 200]
    assert stt.flushed
    assert stt.open_now == 0


async def test_other_containers_are_accepted(http: httpx.AsyncClient) -> None:
    assert (await ask(http, recording("ogg", "libopus", 1.0))).json()["text"] == "Good evening. The ferry."


async def test_verbose_json_has_language_duration_and_segments(http: httpx.AsyncClient) -> None:
    assert (await ask(http, response_format="verbose_json")).json() == {
        "task": "transcribe",
        "language": "en",
        "duration": 1.25,
        "text": "Good evening. The ferry.",
        "segments": [
            {"id": 0, "start": 0.0, "end": 0.5, "text": "Good evening."},
            {"id": 1, "start": 0.6, "end": 1.0, "text": "The ferry."},
        ],
    }


async def test_word_times_are_returned_on_request(http: httpx.AsyncClient) -> None:
    words = (await ask(http, response_format="verbose_json", granularities="word")).json()
    assert words["words"][1] == {"word": "evening.", "start": 0.2, "end": 0.5}
    assert "segments" not in words
    both = (await ask(http, response_format="verbose_json", granularities=["word", "segment"])).json()
    assert {"words", "segments"} <= both.keys()


async def test_missing_word_times_are_an_error(http: httpx.AsyncClient, stt: FakeStt) -> None:
    stt.words = ()
    answer = await ask(http, response_format="verbose_json", granularities="word")
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "session.no_word_times")
    segments = (await ask(http, response_format="verbose_json")).json()["segments"]
    assert segments == [{"id": 0, "start": 0.0, "end": 1.25, "text": "Good evening. The ferry."}]


async def test_silence_gives_an_empty_transcript(http: httpx.AsyncClient, stt: FakeStt) -> None:
    stt.text, stt.words = "", ()
    answer = (await ask(http, response_format="verbose_json", granularities="word")).json()
    assert (answer["text"], answer["words"]) == ("", [])
    assert (await ask(http, response_format="vtt")).text == "WEBVTT\n\n"


@pytest.mark.parametrize(
    ("wanted", "kind", "begins"),
    [
        ("text", "text/plain", "Good evening. The ferry.\n"),
        ("srt", "application/x-subrip", "1\n00:00:00,000 --> 00:00:00,500\nGood evening.\n\n2\n00:00:00,600"),
        ("vtt", "text/vtt", "WEBVTT\n\n00:00:00.000 --> 00:00:00.500\nGood evening.\n\n00:00:00.600"),
    ],
)
async def test_subtitle_formats_are_valid_files(http: httpx.AsyncClient, wanted: str, kind: str, begins: str) -> None:
    answer = await ask(http, response_format=wanted)
    assert answer.headers["content-type"].startswith(kind)
    assert answer.text.startswith(begins)


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"response_format": "diarized_json"}, 400, "session.bad_message"),
        ({"stream": "true"}, 400, "session.bad_message"),
        ({"response_format": "verbose_json", "granularities": "letter"}, 400, "session.bad_message"),
        ({"granularities": "word"}, 400, "session.bad_message"),
        ({"language": "e" * 100}, 400, "session.bad_message"),
        ({"file": b""}, 400, "session.no_audio"),
        ({"file": b"nothing that was recorded"}, 400, "session.unknown_container"),
        ({"file": wav(5.5)}, 400, "session.audio_too_long"),
        ({"file": bytes(250_000)}, 400, "session.upload_too_large"),
    ],
)
async def test_invalid_requests_have_an_error_code(
    http: httpx.AsyncClient, fields: dict[str, Any], status: int, code: str
) -> None:
    answer = await ask(http, **fields)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


async def test_only_a_form_with_a_file_is_accepted(http: httpx.AsyncClient) -> None:
    answer = await http.post(transcriptions.PATH, json={"file": "speech.wav"})
    assert answer.json()["error"]["code"] == "session.unknown_content_type"
    answer = await http.post(transcriptions.PATH, files={"other": ("speech.wav", wav(1.0))})
    assert answer.json()["error"]["code"] == "session.bad_message"


async def test_stt_failure_fails_the_request(http: httpx.AsyncClient, stt: FakeStt) -> None:
    stt.fails = True
    answer = await ask(http)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "stt.gone")
    assert stt.open_now == 0


async def test_silent_stt_times_out(stt: FakeStt) -> None:
    stt.deaf = True
    async with api_client(stt, replace(LIMITS, answer_timeout_s=0.3)) as http:
        answer = await ask(http)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "stt.slow")
    assert stt.open_now == 0


async def test_disconnect_cancels_the_transcription(http: httpx.AsyncClient, stt: FakeStt) -> None:
    stt.deaf = True
    asking = asyncio.create_task(ask(http))
    async with asyncio.timeout(20):
        while not stt.flushed:
            await asyncio.sleep(0.005)
        asking.cancel()
        while stt.open_now:
            await asyncio.sleep(0.005)


def test_caption_ends_at_a_sentence_a_pause_or_its_maximum_length() -> None:
    words = [Word("so", 0, 100), Word("then", 1200, 1300), *(Word("word", at, at + 5) for at in range(1400, 1650, 10))]
    assert [caption.text for caption in make_captions("", words, 0)] == [
        "so",
        "then" + " word" * 16,
        "word " * 8 + "word",
    ]


def test_subtitles_show_hours_and_escape_markup() -> None:
    shown = [Caption("a < b & c", 3_723_004, 3_724_000)]
    assert to_vtt(shown) == "WEBVTT\n\n01:02:03.004 --> 01:02:04.000\na &lt; b &amp; c\n\n"
    assert to_srt(shown) == "1\n01:02:03,004 --> 01:02:04,000\na < b & c\n\n"
