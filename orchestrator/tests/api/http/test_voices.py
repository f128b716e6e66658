"""`/v1/audio/voices`, `/v1/audio/voice_consents` and `/v1/audio/speech` over a real server, with fake services."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import Any
from wave import open as open_wav

import httpx
import numpy as np
import pytest
from api_support import FakeSessions, recording, tone
from app_server import serve_app
from fake_stt import STATEMENT, FakeStt
from fastapi import FastAPI
from orchestrator.api.http import openai_speech, voice_consents, voices
from orchestrator.api.limits import ApiLimits
from orchestrator.api.routes import add_routes
from orchestrator.conversation.messages.server import Style, VoiceChoice
from orchestrator.conversation.model.ports import Speech, SpeechAudio
from orchestrator.conversation.model.voice_store import StoredVoice, VoiceConsent, VoiceListing
from service_kit.errors import InvalidRequest, NotFound

LIMITS = ApiLimits(max_upload_bytes=2_000_000, decode_timeout_s=60, voice_addition_burst=100)
EXAMPLES = Path(__file__).resolve().parents[4] / "examples"


@dataclass
class FakeStore:
    """Keeps what it is asked to learn."""

    languages: tuple[str, ...] = ("en", "de")
    reason: str = ""
    refusal: InvalidRequest | None = None
    added: dict[str, tuple[StoredVoice, bytes, str, VoiceConsent]] = field(default_factory=dict)

    async def list_voices(self) -> VoiceListing:
        built_in = StoredVoice(VoiceChoice("tone", "A tone", ("en",), "fake"))
        return VoiceListing((built_in, *(voice for voice, *_ in self.added.values())), self.languages, self.reason)

    async def add_voice(
        self, name: str, reference_wav: bytes, transcript: str, language: str, consent: VoiceConsent
    ) -> StoredVoice:
        if self.refusal is not None:
            raise self.refusal
        summary = replace(consent, statement="", recording_wav=b"")
        voice = StoredVoice(VoiceChoice(f"fake:{name}", name, (language,), "fake", cloned=True), summary, 1_790_000_000)
        self.added[voice.choice.id] = (voice, reference_wav, transcript, consent)
        return voice

    async def delete_voice(self, voice_id: str) -> None:
        if self.added.pop(voice_id, None) is None:
            raise NotFound("tts.unknown_voice", f"no cloned voice {voice_id!r}")


@dataclass
class FakeTts:
    """Speaks 100 ms per character."""

    asked: list[tuple[str, str, Style]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def open(self, voice: str, language: str, style: Style) -> AsyncGenerator[FakeTts]:
        self.asked.append((voice, language, style))
        yield self

    async def send_text(self, text: str) -> None:
        self.texts.append(text)

    async def end_text(self) -> None: ...

    async def speech(self) -> AsyncGenerator[Speech]:
        for number in range(len(self.texts[-1])):
            yield SpeechAudio(100 * number, b"\1\0" * 2400)


@dataclass
class Served:
    http: httpx.AsyncClient
    stt: FakeStt = field(default_factory=FakeStt)
    store: FakeStore = field(default_factory=FakeStore)
    tts: FakeTts = field(default_factory=FakeTts)


@asynccontextmanager
async def serve(limits: ApiLimits = LIMITS) -> AsyncGenerator[Served]:
    app = FastAPI()
    uploads = add_routes(app, FakeSessions(), limits)
    stt, store, tts = FakeStt(), FakeStore(), FakeTts()
    consents = voice_consents.Consents(stt, uploads, limits)
    adding = voices.VoiceAdding(store, consents, stt, uploads, limits)
    app.include_router(voices.routes(adding, store, uploads, limits))
    app.include_router(voice_consents.routes(consents, store, uploads, limits))
    app.include_router(openai_speech.routes(tts, uploads, limits))
    async with serve_app(app) as address, httpx.AsyncClient(base_url=f"http://{address}", timeout=30) as http:
        yield Served(http, stt, store, tts)


@pytest.fixture
async def served() -> AsyncGenerator[Served]:
    async with serve() as served:
        yield served


def wav(seconds: float = 3.0, rate_hz: int = 48_000) -> bytes:
    file = BytesIO()
    with open_wav(file, "wb") as writer:
        writer.setparams((1, 2, rate_hz, 0, "NONE", ""))
        writer.writeframes(tone(seconds, rate_hz).tobytes())
    return file.getvalue()


async def add(served: Served, sample: bytes | None = None, files: Any = None, **fields: str) -> httpx.Response:
    data = {"name": "Ana", "consent": STATEMENT, **fields}
    sample = wav() if sample is None else sample
    return await served.http.post(
        voices.PATH, data={k: v for k, v in data.items() if v}, files={"audio_sample": ("a", sample), **(files or {})}
    )


async def record_consent(served: Served, **fields: str) -> httpx.Response:
    data = {"name": "Ana Silva", "language": "de-DE", **fields}
    return await served.http.post(voice_consents.PATH, data=data, files={"recording": ("c.wav", wav(2, 16_000))})


def code_of(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


async def test_voice_is_added_with_a_written_consent(served: Served) -> None:
    added = await add(served, language="en-GB", transcript=" good evening ", consent_name="Ana Silva")
    assert added.status_code == 200, added.text
    body = added.json()
    assert {key: body[key] for key in ("object", "id", "name", "created_at", "cloned", "languages", "transcript")} == {
        "object": "audio.voice",
        "id": "fake:Ana",
        "name": "Ana",
        "created_at": 1_790_000_000,
        "cloned": True,
        "languages": ["en"],
        "transcript": "good evening",
    }
    _, reference, _, consent = served.store.added["fake:Ana"]
    assert (consent.name, consent.statement, consent.recording_wav, consent.language) == (
        "Ana Silva",
        STATEMENT,
        b"",
        "en",
    )
    assert consent.id.startswith("cons_")
    # What the client sent is complete: nothing was transcribed.
    assert served.stt.asked == []
    with open_wav(BytesIO(reference)) as decoded:
        assert (decoded.getframerate(), decoded.getnchannels()) == (24_000, 1)
        samples = np.frombuffer(decoded.readframes(decoded.getnframes()), "<i2")
    # Above the 8 kHz that speech recognition keeps, so the reference was not taken from its audio.
    assert samples.size == pytest.approx(72_000, abs=10)
    assert np.argmax(np.abs(np.fft.rfft(samples))) * 24_000 / samples.size == pytest.approx(440, abs=1)


async def test_missing_transcript_and_language_are_heard(served: Served) -> None:
    served.stt.text = "Guten Abend zusammen"
    added = (await add(served)).json()
    assert (added["transcript"], added["languages"]) == ("Guten Abend zusammen", ["de"])
    assert served.stt.asked == [""]
    assert served.stt.heard_ms == pytest.approx(3000, abs=1)


@pytest.mark.parametrize(("container", "codec"), [("webm", "libopus"), ("mp3", "libmp3lame"), ("flac", "flac")])
async def test_recordings_of_other_containers_are_taken(served: Served, container: str, codec: str) -> None:
    added = await add(served, sample=recording(container, codec, 3.0))
    assert added.status_code == 200, added.text


async def test_spoken_consent_may_come_with_the_voice(served: Served) -> None:
    added = await add(served, consent="", files={"consent": ("consent.wav", wav(2, 16_000))}, language="en")
    assert added.status_code == 200, added.text
    *_, consent = served.store.added["fake:Ana"]
    assert consent.statement == STATEMENT
    with open_wav(BytesIO(consent.recording_wav)) as kept:
        assert (kept.getframerate(), kept.getnframes()) == (16_000, 32_000)


async def test_recorded_consent_serves_one_voice(served: Served) -> None:
    made = await record_consent(served)
    assert made.status_code == 200, made.text
    consent = made.json()
    assert set(consent) == {"object", "id", "name", "language", "created_at"}
    assert (consent["object"], consent["name"], consent["language"]) == ("audio.voice_consent", "Ana Silva", "de")
    assert (await served.http.get(f"{voice_consents.PATH}/{consent['id']}")).json() == consent
    added = await add(served, consent=consent["id"], language="de", transcript="Guten Abend")
    assert added.json()["consent"] == consent
    assert served.store.added["fake:Ana"][3].statement == STATEMENT
    # It is still listed, now as that of the voice, and neither serves a second voice nor goes without its voice.
    assert (await served.http.get(voice_consents.PATH)).json()["data"] == [consent]
    again = await add(served, consent=consent["id"], name="Bea")
    assert code_of(again) == (400, "voices.consent_in_use")
    kept = await served.http.delete(f"{voice_consents.PATH}/{consent['id']}")
    assert code_of(kept) == (400, "voices.consent_in_use")
    assert "fake:Ana" in kept.json()["error"]["message"]
    assert (await served.http.delete(f"{voices.PATH}/fake:Ana")).json() == {
        "object": "audio.voice",
        "id": "fake:Ana",
        "deleted": True,
    }
    assert (await served.http.get(voice_consents.PATH)).json()["data"] == []


async def test_consent_is_put_back_when_the_voice_is_refused(served: Served) -> None:
    consent_id = (await record_consent(served)).json()["id"]
    served.store.refusal = InvalidRequest("tts.reference_silent", "the recording is silent")
    assert code_of(await add(served, consent=consent_id)) == (400, "tts.reference_silent")
    served.store.refusal = None
    assert (await add(served, consent=consent_id)).status_code == 200


async def test_kept_consents_are_listed_in_pages_and_deleted(served: Served) -> None:
    ids = [(await record_consent(served, name=f"P{number}")).json()["id"] for number in range(3)]
    page = (await served.http.get(voice_consents.PATH, params={"limit": 2})).json()
    assert ([each["id"] for each in page["data"]], page["has_more"]) == (ids[:2], True)
    assert (page["object"], page["first_id"], page["last_id"]) == ("list", ids[0], ids[1])
    rest = (await served.http.get(voice_consents.PATH, params={"after": ids[1]})).json()
    assert ([each["id"] for each in rest["data"]], rest["has_more"]) == (ids[2:], False)
    deleted = await served.http.delete(f"{voice_consents.PATH}/{ids[0]}")
    assert deleted.json() == {"object": "audio.voice_consent", "id": ids[0], "deleted": True}
    assert code_of(await served.http.delete(f"{voice_consents.PATH}/{ids[0]}")) == (404, "voices.unknown_consent")
    assert code_of(await served.http.get(f"{voice_consents.PATH}/{ids[0]}")) == (404, "voices.unknown_consent")


async def test_no_consent_no_voice(served: Served) -> None:
    missing = await add(served, consent="")
    assert code_of(missing) == (400, "voices.consent_missing")
    assert "consent of the person" in missing.json()["error"]["message"]
    assert code_of(await add(served, consent="cons_123456789")) == (400, "voices.unknown_consent")
    served.stt.text = "Yes"
    unheard = await add(served, consent="", files={"consent": ("consent.wav", wav(2, 16_000))})
    assert code_of(unheard) == (400, "voices.consent_not_heard")
    assert served.store.added == {}


async def test_installation_without_a_cloning_engine_says_what_would_clone(served: Served) -> None:
    served.store.languages, served.store.reason = (), "engine 'espeak' cannot clone voices; pocket-tts can"
    refused = await add(served)
    assert code_of(refused) == (501, "tts.cloning_unsupported")
    assert "pocket-tts" in refused.json()["error"]["message"]
    listed = (await served.http.get(voices.PATH)).json()
    assert listed["cloning"] == {"available": False, "languages": [], "reason": served.store.reason}
    assert [(voice["id"], voice["cloned"], voice["consent"]) for voice in listed["data"]] == [("tone", False, None)]


@pytest.mark.parametrize(
    ("fields", "sample", "refused"),
    [
        ({"name": "x" * 61}, None, (400, "session.bad_message")),
        ({"name": ""}, None, (400, "session.bad_message")),
        ({"consent": "x" * 2001}, None, (400, "session.bad_message")),
        ({"transcript": "x" * 601}, None, (400, "session.bad_message")),
        ({}, b"", (400, "session.no_audio")),
        ({}, b"no recording", (400, "session.unknown_container")),
        ({}, wav(3, 8_000), (400, "session.low_sample_rate")),
        ({}, wav(61, 16_000), (400, "session.audio_too_long")),
        ({}, bytes(2_000_001), (400, "session.upload_too_large")),
    ],
)
async def test_unusable_requests_are_refused(
    served: Served, fields: dict[str, str], sample: bytes | None, refused: tuple[int, str]
) -> None:
    assert code_of(await add(served, sample=sample, **fields)) == refused
    assert served.store.added == {}


async def test_low_rate_in_another_container_is_refused(served: Served) -> None:
    refused = await add(served, sample=recording("flac", "flac", 3.0, rate_hz=8_000))
    assert code_of(refused) == (400, "session.low_sample_rate")


async def test_recording_without_words_is_refused(served: Served) -> None:
    served.stt.text = " "
    assert code_of(await add(served, language="en")) == (400, "voices.no_words")


async def test_body_that_is_no_form_is_refused(served: Served) -> None:
    for path in (voices.PATH, voice_consents.PATH):
        assert code_of(await served.http.post(path, json={"name": "Ana"})) == (422, "session.unknown_content_type")
    lacking = await served.http.post(voices.PATH, data={"name": "Ana"}, files={"other": ("a", wav())})
    assert code_of(lacking) == (400, "session.bad_message")


async def test_additions_are_limited_in_rate_and_number() -> None:
    async with serve(replace(LIMITS, voice_addition_burst=2, max_pending_consents=1)) as served:
        assert (await record_consent(served)).status_code == 200
        assert code_of(await record_consent(served)) == (503, "voices.too_many_consents")
        codes = [code_of(await record_consent(served))[1] for _ in range(2)]
        assert codes[-1] == "voices.too_fast"
        assert code_of(await add(served)) == (503, "voices.too_fast")


async def test_old_consents_are_forgotten() -> None:
    async with serve(replace(LIMITS, pending_consent_s=-1)) as served:
        consent_id = (await record_consent(served)).json()["id"]
        assert code_of(await served.http.get(f"{voice_consents.PATH}/{consent_id}")) == (404, "voices.unknown_consent")


async def test_long_recorded_consent_is_refused() -> None:
    async with serve(replace(LIMITS, max_consent_audio_s=1)) as served:
        assert code_of(await record_consent(served)) == (400, "voices.consent_too_long")


async def test_unknown_voice_cannot_be_deleted(served: Served) -> None:
    assert code_of(await served.http.delete(f"{voices.PATH}/tone")) == (404, "tts.unknown_voice")


@pytest.mark.parametrize(("voice", "asked"), [("fake:Ana", "fake:Ana"), ({"id": "fake:Ana"}, "fake:Ana")])
async def test_text_is_spoken_in_a_voice(served: Served, voice: object, asked: str) -> None:
    body = {"model": "tts-1", "input": "Good evening", "voice": voice, "speed": 1.25}
    spoken = await served.http.post(openai_speech.PATH, json=body)
    assert (spoken.status_code, spoken.headers["content-type"]) == (200, "audio/wav")
    with open_wav(BytesIO(spoken.content)) as file:
        assert (file.getframerate(), file.getnframes()) == (24_000, 12 * 2400)
    assert served.tts.asked == [(asked, "", Style(pace=1.25))]
    assert served.tts.texts == ["Good evening"]


async def test_speech_is_sent_as_samples_and_cut_off() -> None:
    async with serve(replace(LIMITS, max_answer_audio_s=0.25)) as served:
        spoken = await served.http.post(openai_speech.PATH, json={"input": "Good evening", "response_format": "pcm"})
        assert (len(spoken.content), spoken.headers["content-type"]) == (12_000, "audio/pcm")
        # Without a voice, the default one of a language speaks.
        assert served.tts.asked == [("", "en", Style(pace=1.0))]


@pytest.mark.parametrize(
    "body",
    [{}, {"input": ""}, {"input": "  "}, {"input": "x" * 4097}, {"input": "a", "response_format": "mp3"}],
)
async def test_bad_speech_requests_are_refused(served: Served, body: dict[str, object]) -> None:
    assert code_of(await served.http.post(openai_speech.PATH, json=body)) == (400, "session.bad_message")


@pytest.mark.parametrize("spoken", [True, False])
async def test_shell_example_clones_a_voice_and_saves_its_speech(served: Served, tmp_path: Path, spoken: bool) -> None:
    voice, consent = tmp_path / "voice.wav", tmp_path / "consent.wav"
    voice.write_bytes(wav())
    consent.write_bytes(wav(2, 16_000))
    script = str(EXAMPLES / "clone_voice.sh")
    process = await asyncio.create_subprocess_exec(
        *("sh", script, "Ana", str(voice), str(consent) if spoken else STATEMENT),
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "ANCHOR_URL": str(served.http.base_url)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0, output.decode()
    assert "anchor voice remove fake:Ana" in output.decode()
    *_, kept = served.store.added["fake:Ana"]
    assert (kept.statement, bool(kept.recording_wav)) == (STATEMENT, spoken)
    assert served.tts.asked == [("fake:Ana", "", Style(pace=1.0))]
    with open_wav(str(tmp_path / "reply.wav")) as reply:
        assert reply.getnframes() == len("Good evening.") * 2400
