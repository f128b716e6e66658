"""Word error rate of the embedded recogniser on recordings of people.

The recordings are not part of the project; without them these tests are skipped.
"""

from __future__ import annotations

import asyncio
import csv
import os
import statistics
import wave
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import eval_stt
import pytest
from anchor.stt.v1 import stt_pb2, stt_pb2_grpc
from offline_engines import reference_words, word_errors
from service_kit.rpc.channel import read_message, write_message
from stt_service.engines.pocketsphinx.engine import PocketsphinxEngine
from stt_service.engines.pocketsphinx.knowledge import dictionary_words, read_passages, training_sentences
from stt_service.servicer import SERVICE_NAME, SpeechToTextServicer
from stt_service.settings import SttSettings

ROOT = Path(__file__).parents[2]
CLIPS = ROOT.parent / "shared" / "speech"
KNOWLEDGE = ROOT / "content" / "knowledge"
FRAME_MS = 32
FRAME_BYTES = 1024
MAX_WORDS = 9

pytestmark = pytest.mark.skipif(not (CLIPS / "speech.csv").exists(), reason="no recordings of people beside this tree")


@dataclass(frozen=True)
class Clip:
    """A recording and its reference words."""

    name: str
    words: list[str]
    pcm: bytes


@dataclass(frozen=True)
class Row:
    """The result of one clip."""

    clip: Clip
    recognised: str
    errors: int
    final_ms: float


@pytest.fixture(scope="module")
def clips() -> list[Clip]:
    """Short English sentences with a transcript from their source; `make eval-stt` takes the long ones too."""
    with (CLIPS / "speech.csv").open(encoding="utf-8") as table:
        rows = [row for row in csv.DictReader(table) if row["language"] == "en"]
    found: list[Clip] = []
    for row in rows:
        text = reference_words(row["transcript"])
        if row["transcript_status"] == "source" and 0 < len(text) <= MAX_WORDS:
            with wave.open(str(CLIPS / row["file"])) as clip:
                found.append(Clip(row["file"].removesuffix(".wav"), text, clip.readframes(clip.getnframes())))
    return found


@asynccontextmanager
async def recogniser(models: Path) -> AsyncGenerator[Any]:
    """The embedded recogniser behind real gRPC."""
    # A plugin module must not be imported before pytest has registered it.
    from service_kit.testing.plugin import serve_grpc

    # Clips are sent faster than real time, so the second opinion may come later than live.
    settings = SttSettings(knowledge_dir=KNOWLEDGE, models_dir=models, second_opinion_ms=60_000)
    engine = PocketsphinxEngine(settings)
    servicer = SpeechToTextServicer(engine, settings.least_streams, 600_000)
    async with engine.lifespan(), serve_grpc(SERVICE_NAME, servicer.add_to) as channel:
        yield stt_pb2_grpc.SpeechToTextServiceStub(channel)


async def transcribe(stub: Any, clip: Clip) -> Row:
    """Send `clip` and flush; the time counts from the flush."""
    call = stub.Transcribe()
    requests = [stt_pb2.TranscribeRequest(config={"language": "en", "sample_rate_hz": 16_000})]
    for number, start in enumerate(range(0, len(clip.pcm), FRAME_BYTES)):
        audio = {"start_ms": number * FRAME_MS, "pcm": clip.pcm[start : start + FRAME_BYTES]}
        requests.append(stt_pb2.TranscribeRequest(audio=audio))
    for request in requests:
        await write_message(call, request, "stt")
    flushed_s = asyncio.get_running_loop().time()
    await write_message(call, stt_pb2.TranscribeRequest(flush={"segment_id": 1}), "stt")
    event = await read_message(call, "stt", 30)
    final_ms = (asyncio.get_running_loop().time() - flushed_s) * 1000
    call.cancel()
    assert event is not None
    text = event.final_transcript.text
    return Row(clip, text, word_errors(clip.words, text.split()), final_ms)


def report(rows: list[Row]) -> str:
    """The table, as Markdown."""
    lines = ["| clip | words | errors | recognised |", "|---|---|---|---|"]
    lines += [f"| {row.clip.name} | {len(row.clip.words)} | {row.errors} | {row.recognised} |" for row in rows]
    total, wrong = sum(len(row.clip.words) for row in rows), sum(row.errors for row in rows)
    finals = [row.final_ms for row in rows]
    lines += [
        "",
        f"Word error rate {100 * wrong / total:.1f} % ({wrong} of {total} words, {len(rows)} clips); median of the "
        f"clips {100 * statistics.median(row.errors / len(row.clip.words) for row in rows):.0f} %. Flush to final, "
        f"audio sent as fast as it is accepted: median {statistics.median(finals):.0f} ms, most {max(finals):.0f} ms.",
    ]
    return "\n".join(lines) + "\n"


def publish(table: str) -> None:
    """Print the table, and write it to `ANCHOR_REPORT_DIR` when that is set."""
    print(table)  # noqa: T201
    if folder := os.environ.get("ANCHOR_REPORT_DIR"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        (Path(folder) / "word-error-rate.md").write_text(table)


@pytest.mark.e2e
@pytest.mark.timeout(180)
async def test_word_errors_stay_within_the_documented_bounds(clips: list[Clip], tmp_path: Path) -> None:
    async with recogniser(tmp_path) as stub:
        rows = [await transcribe(stub, clip) for clip in clips]
    table = report(rows)
    publish(table)
    by_name = {row.clip.name: row for row in rows}
    assert len(rows) == len(clips)
    assert by_name["en-goforward"].errors <= 2
    assert by_name["en-forever-2"].errors <= 3
    short = [row for row in rows if not row.clip.name.startswith("en-mfa")]
    assert sum(row.errors for row in short) < sum(len(row.clip.words) for row in short) * 0.7


@pytest.mark.e2e
@pytest.mark.timeout(300)
async def test_whisper_stays_within_its_target_on_english() -> None:
    """9 % of the words of the ordinary English clips, and no word from music, noise and silence.

    The products in int8 round differently on each processor: 6.7 % on an AMD EPYC, 7.8 % on an Intel Xeon with AVX-512.
    """
    if not (ROOT / "models" / "whisper-base").is_dir():
        pytest.skip("no whisper-base in models: run `make setup`")
    recordings = [clip for clip in eval_stt.read_clips(CLIPS) if clip.words is None or clip.words]
    score = eval_stt.Score()
    async with eval_stt.load_engine("whisper-base", ROOT) as engine:
        for clip in recordings:
            await eval_stt.score_clip(engine, clip, eval_stt.noise_mixing.pcm16(clip.samples), score)
    assert score.words["en"] > 250
    assert score.wrong["en"] <= 0.09 * score.words["en"]
    assert score.invented == []
    assert sum(score.languages) >= 0.95 * len(score.languages)
    # Whispers, laughter and words cut off.
    assert score.unheard <= 4


def test_no_recording_is_in_the_language_model_text(clips: list[Clip]) -> None:
    sentences_used = {
        " ".join(dictionary_words(sentence)) for sentence in training_sentences(read_passages(KNOWLEDGE, "en"))
    }
    assert "hello" in sentences_used
    assert not [clip.name for clip in clips if " ".join(clip.words) in sentences_used]
