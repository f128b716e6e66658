"""`make eval-stt`: word errors, language and false words of the recognisers on recordings of people.

Each clip goes through the engine's own stream, as one segment: clean, as over a telephone, and in an office. The
recordings are not part of the project: `--recordings` names their folder, laid out as `../shared/speech`. Prints the
Markdown tables of docs/evaluation.md. `--latency` measures instead how long finals take, and how long partials.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import noise_mixing
import numpy as np
from eval_filters import FILTERS, apply_filter, print_header, print_row
from noise_mixing import Samples
from offline_engines import ROOT, Spans, VadRunner, load_recogniser, word_errors
from service_kit.audio import MICROPHONE, AudioChunk
from service_kit.engines.models import model_folder
from spoken_words import spoken_words
from stt_service.engine import FinalTranscript, Segment, TranscriptionConfig
from stt_service.engines.whisper.decoding import ClipOptions
from stt_service.engines.whisper.engine import WhisperEngine
from stt_service.engines.whisper.process import TranscriptionProcess
from stt_service.engines.whisper.worker_spec import WorkerSpec
from stt_service.retranscribing.recogniser import ClipTranscript
from stt_service.retranscribing.stream import MIN_LANGUAGE_PROBABILITY, SharedModel, open_retranscribing_stream
from stt_service.retranscribing.transcription_slots import TranscriptionSlots
from stt_service.settings import SttSettings

# Longer recordings have no transcript that was checked to the end, and are cut.
LONGEST_S = 40
CHUNK_BYTES = MICROPHONE.bytes_for(32)
OFFICE_SNR_DB = 10
TELEPHONE_HZ = 3400
LANGUAGES = ("en", "de", "es", "fr", "nl", "it", "pt")
ENGINES = ("whisper-base", "whisper-tiny.en", "moonshine", "pocketsphinx")
# Clips of the latency table: a recording and how much of it.
LATENCY_CLIPS = (("en-cards-001", 1.1), ("en-austen-0880", 3.0), ("en-lj-0001", 8.0))
# Clips of the table of partials, by language.
PARTIAL_CLIPS = {
    "en": ("en-austen-0870", "en-forever-2", "en-lamp", "en-lj-0001", "en-lj-0004", "en-quilter", "en-dog-or-cat"),
    "other languages": (
        "de-leichenhalle",
        "es-arenas",
        "es-riva",
        "fr-consulat",
        "fr-udhr-24",
        "nl-vl04108",
        "pt-sistema",
    ),
}
# Recordings of test material for aligners: whispers, laughter, words cut off.
ODD = "en-mfa"


@dataclass
class Clip:
    """A recording; `words` is empty where its source gives none, and None where it has none to be heard."""

    name: str
    language: str
    words: list[str] | None
    samples: Samples


@dataclass
class Score:
    """The results of one engine in one condition."""

    wrong: dict[str, int] = field(default_factory=dict[str, int])
    words: dict[str, int] = field(default_factory=dict[str, int])
    # Whether the language was right, of each clip of speech.
    languages: list[bool] = field(default_factory=list[bool])
    # Probabilities of the languages, of each clip of speech whose recogniser gives one.
    probabilities: list[float] = field(default_factory=list[float])
    # Clips of speech without words in the final.
    unheard: int = 0
    invented: list[str] = field(default_factory=list[str])
    finals_s: list[float] = field(default_factory=list[float])
    audio_s: float = 0.0

    def add(self, clip: Clip, final: FinalTranscript, seconds: float, identified: ClipTranscript | None = None) -> None:
        """Count the final of a clip; `identified` has the language that a dropped final does not have."""
        heard = spoken_words(final.text, clip.language)
        self.finals_s.append(seconds)
        self.audio_s += len(clip.samples) / MICROPHONE.rate_hz
        if clip.words is None:
            self.invented += [f"{clip.name}: {final.text}"] if heard else []
            return
        self.languages.append((identified.language if identified else final.language) == clip.language)
        if identified is not None and identified.language_probability is not None:
            self.probabilities.append(identified.language_probability)
        self.unheard += not heard
        if clip.words:
            group = ODD if clip.name.startswith(ODD) else clip.language
            self.wrong[group] = self.wrong.get(group, 0) + word_errors(clip.words, heard)
            self.words[group] = self.words.get(group, 0) + len(clip.words)

    def rate(self, group: str) -> str:
        """Return the word error rate of a group in %."""
        return f"{100 * self.wrong[group] / self.words[group]:.1f}" if self.words.get(group) else "–"


class MoonshineClips:
    """Moonshine as the only recogniser, for finals too."""

    def __init__(self, process: TranscriptionProcess) -> None:
        self._process = process

    async def transcribe_clip(self, pcm: bytes, language: str, *, final: bool) -> ClipTranscript:
        return await self._process.transcribe(pcm, ClipOptions("en"))


class IdentifyingEngine(WhisperEngine):
    """Whisper, which keeps its own transcript of each final: it has a language when the text is dropped, too."""

    identified: ClipTranscript | None = None

    async def transcribe_clip(self, pcm: bytes, language: str, *, final: bool) -> ClipTranscript:
        clip = await super().transcribe_clip(pcm, language, final=final)
        # A long clip has more than one; its first counts, as in the final.
        if final and self.identified is None:
            self.identified = clip
        return clip


def read_clips(folder: Path) -> list[Clip]:
    """Return the recordings that have a language, or no speech at all."""
    with (folder / "speech.csv").open(encoding="utf-8", newline="") as table:
        rows = list(csv.DictReader(table))
    clips: list[Clip] = []
    for row in rows:
        language, words = row["language"], list[str]()
        if row["transcript_status"] == "source" and float(row["duration_s"]) <= LONGEST_S:
            words = spoken_words(row["transcript"], language)
        samples = noise_mixing.read_wav(folder / row["file"])[: LONGEST_S * MICROPHONE.rate_hz]
        if language in LANGUAGES or language == "zxx":
            clips.append(
                Clip(row["file"].removesuffix(".wav"), language, None if language == "zxx" else words, samples)
            )
    return [*clips, *artificial_noises()]


def artificial_noises() -> list[Clip]:
    """Return silence and noise, which no recording has."""
    length = 5 * MICROPHONE.rate_hz
    quiet = noise_mixing.set_level(noise_mixing.pink_noise(length, 5), -45)
    loud = noise_mixing.set_level(noise_mixing.white_noise(length, 6), -25)
    sounds = {"silence": np.zeros(length), "pink-noise": quiet, "white-noise": loud}
    return [Clip(f"zxx-{name}", "zxx", None, samples) for name, samples in sounds.items()]


def telephone(samples: Samples) -> Samples:
    """Return the part of the sound that a telephone passes: below 3.4 kHz, at 8 kHz of sampling."""
    spectrum = np.fft.rfft(samples)
    spectrum[np.fft.rfftfreq(len(samples), 1 / MICROPHONE.rate_hz) > TELEPHONE_HZ] = 0
    return np.fft.irfft(spectrum, len(samples))


def rooms(clips: list[Clip]) -> dict[str, Callable[[Clip], Samples]]:
    """Return how each clip sounds in each condition; noise is added to speech only."""
    office = next(clip.samples for clip in clips if clip.name == "zxx-office")
    office = noise_mixing.loop(office, LONGEST_S * MICROPHONE.rate_hz)

    @cache
    def speech() -> dict[str, Spans]:
        pcm = [noise_mixing.pcm16(clip.samples) for clip in clips]
        return {clip.name: found for clip, found in zip(clips, VadRunner().find_speech(pcm), strict=True)}

    def in_office(clip: Clip) -> Samples:
        if clip.words is None or not speech()[clip.name]:
            return clip.samples
        return noise_mixing.mix(clip.samples, speech()[clip.name], office, OFFICE_SNR_DB)

    return {
        "clean": lambda clip: clip.samples,
        "8 kHz": lambda clip: telephone(clip.samples),
        f"office {OFFICE_SNR_DB} dB": in_office,
    }


@asynccontextmanager
async def load_engine(name: str, folder: Path) -> AsyncGenerator[Any]:
    """Load an engine, which has `open_stream`; `folder` is for PocketSphinx's models."""
    settings = SttSettings(models="minimal", models_dir=ROOT / "models", models_lock=ROOT / "models.lock")
    if name == "pocketsphinx":
        async with load_recogniser(folder) as engine:
            yield engine
    elif name == "moonshine":
        model = model_folder("moonshine-tiny-en", settings.models_lock, settings.models_dir)
        process = TranscriptionProcess(name, WorkerSpec("moonshine", str(model)))
        limited = settings.model_copy(update={"max_utterance_s": 15.0})
        shared = SharedModel(MoonshineClips(process), TranscriptionSlots(1), limited)
        async with process.running():
            yield SimpleNamespace(open_stream=lambda config: open_retranscribing_stream(shared, config))
    else:
        engine = IdentifyingEngine(settings, name)
        async with engine.lifespan():
            yield engine


async def score_clip(engine: Any, clip: Clip, pcm: bytes, score: Score) -> FinalTranscript:
    """Transcribe a clip that sounds as in `pcm`, and count its final."""
    identifying = engine if isinstance(engine, IdentifyingEngine) else None
    if identifying is not None:
        identifying.identified = None
    final, seconds = await transcribe(engine, pcm, "")
    score.add(clip, final, seconds, identifying.identified if identifying is not None else None)
    return final


async def transcribe(engine: Any, pcm: bytes, language: str) -> tuple[FinalTranscript, float]:
    """Return the final of a clip, and the seconds from the flush to it."""
    segment = Segment(1, 0, round(MICROPHONE.ms_of(len(pcm))))
    async with engine.open_stream(TranscriptionConfig(language)) as stream:
        for at in range(0, len(pcm), CHUNK_BYTES):
            await stream.push_audio(AudioChunk(round(MICROPHONE.ms_of(at)), pcm[at : at + CHUNK_BYTES]), segment)
        flushed_s = time.perf_counter()
        await stream.flush_segment(segment)
        seconds = time.perf_counter() - flushed_s
        await stream.end_audio()
        finals = [event async for event in stream.transcripts() if isinstance(event, FinalTranscript)]
    return finals[-1], seconds


async def evaluate(clips: list[Clip], options: argparse.Namespace) -> None:
    """Measure every engine in every condition, and print each row when it is done."""
    conditions = rooms(clips)
    print_header(
        "engine", "room", "filter", "en %", f"{ODD} %", "de, es, fr, nl wrong", "language right", "sure",
        "not heard", "words in noise",
    )  # fmt: skip
    for name in options.engines:
        with tempfile.TemporaryDirectory() as folder:
            async with load_engine(name, Path(folder)) as engine:
                for room, sound in conditions.items():
                    for filters in options.filters if any(part in room for part in options.only) else []:
                        heard = clips if name == "whisper-base" else [clip for clip in clips if is_english(clip)]
                        score = Score()
                        for clip in heard:
                            pcm = apply_filter(FILTERS[filters], sound(clip))
                            final = await score_clip(engine, clip, pcm, score)
                            if options.clips:
                                print(f"{clip.name}\t{final.language}\t{final.language_probability}\t{final.text}")  # noqa: T201
                        print_row(name, room, filters, *cells(score, name))


def is_english(clip: Clip) -> bool:
    return clip.language in ("en", "zxx")


def cells(score: Score, engine: str) -> list[str]:
    """Return the cells of a row; only Whisper base knows more languages than one."""
    foreign = ", ".join(
        f"{score.wrong[one]} of {score.words[one]}" for one in ("de", "es", "fr", "nl") if one in score.words
    )
    right = f"{sum(score.languages)} of {len(score.languages)}"
    sure = sum(probability >= MIN_LANGUAGE_PROBABILITY for probability in score.probabilities)
    return [
        score.rate("en"),
        score.rate(ODD),
        foreign or "–",
        *((right, str(sure)) if engine == "whisper-base" else ("English only", "–")),
        str(score.unheard),
        "; ".join(score.invented) or "none",
    ]


async def measure_latency(clips: list[Clip], options: argparse.Namespace) -> None:
    """Print how long finals of three lengths take, from the flush, with nothing else to do."""
    by_name = {clip.name: clip for clip in clips}
    print_header("engine", *(f"{length} s, ms least / median" for _, length in LATENCY_CLIPS))
    for name in options.engines:
        with tempfile.TemporaryDirectory() as folder:
            async with load_engine(name, Path(folder)) as engine:
                row: list[str] = []
                for clip, length in LATENCY_CLIPS:
                    samples = by_name[clip].samples[: int(length * MICROPHONE.rate_hz)]
                    pcm = noise_mixing.pcm16(samples)
                    times = [(await transcribe(engine, pcm, ""))[1] * 1000 for _ in range(options.repeat)]
                    row.append(f"{min(times):.0f} / {statistics.median(times):.0f}")
                print_row(name, *row)


async def measure_partials(clips: list[Clip]) -> None:
    """Print how long after its end a word first stands in a partial, with Whisper base and Moonshine, in real time."""
    by_name = {clip.name: clip for clip in clips}
    settings = SttSettings(
        models="default", models_dir=ROOT / "models", models_lock=ROOT / "models.lock", whisper_word_times=True
    )
    engine = WhisperEngine(settings, "whisper-base")
    print_header("partials", "session's language", "words", "delay p50 / p95 ms", "in no partial")
    async with engine.lifespan():
        for group, names in PARTIAL_CLIPS.items():
            for known in (True, False):
                delays_ms: list[float] = []
                words = 0
                for name in names:
                    clip = by_name[name]
                    heard, final = await hear_in_real_time(engine, clip, clip.language if known else "")
                    found = [delay for delay in partial_delays_ms(heard, final, clip.language) if delay is not None]
                    words += len(final.words)
                    delays_ms += found
                spread = (
                    f"{np.percentile(delays_ms, 50):.0f} / {np.percentile(delays_ms, 95):.0f}" if delays_ms else "–"
                )
                missing = f"{words - len(delays_ms)} of {words}"
                print_row(group, "set" if known else "detected", str(len(delays_ms)), spread, missing)


async def hear_in_real_time(
    engine: WhisperEngine, clip: Clip, language: str
) -> tuple[list[tuple[float, str]], FinalTranscript]:
    """Send a clip as it is spoken; return its partials with their times on the audio clock, and its final."""
    pcm = noise_mixing.pcm16(clip.samples)
    segment = Segment(1, 0, round(MICROPHONE.ms_of(len(pcm))))
    heard: list[tuple[float, str]] = []
    finals: list[FinalTranscript] = []
    async with engine.open_stream(TranscriptionConfig(language, partial_transcripts=True)) as stream:
        began_s = time.perf_counter()

        async def read() -> None:
            async for event in stream.transcripts():
                if isinstance(event, FinalTranscript):
                    finals.append(event)
                else:
                    heard.append(((time.perf_counter() - began_s) * 1000, event.text))

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(read())
            for at in range(0, len(pcm), CHUNK_BYTES):
                chunk = pcm[at : at + CHUNK_BYTES]
                end_s = MICROPHONE.ms_of(at + len(chunk)) / 1000
                await asyncio.sleep(max(began_s + end_s - time.perf_counter(), 0))
                await stream.push_audio(AudioChunk(round(MICROPHONE.ms_of(at)), chunk), segment)
            await stream.flush_segment(segment)
            await stream.end_audio()
    return heard, finals[-1]


def partial_delays_ms(heard: list[tuple[float, str]], final: FinalTranscript, language: str) -> list[float | None]:
    """Return for each word of the final the time from its end to the first partial that holds it; None for no partial.

    A partial holds a word that stands in the final for the second time if it has it twice. A word whose end the final
    places after the partial has a delay of 0.
    """
    partials = [(at_ms, spoken_words(text, language)) for at_ms, text in heard]
    delays: list[float | None] = []
    before: list[str] = []
    for word in final.words:
        # A number may be spelled with several words.
        spelled = spoken_words(word.text, language)
        before += spelled
        at_ms = next(
            (at for at, words in partials if all(words.count(one) >= before.count(one) for one in spelled)), None
        )
        delays.append(None if at_ms is None or not spelled else max(0.0, at_ms - word.end_ms))
    return delays


def machine() -> str:
    """Return the processor and the number of its cores that this process may use."""
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return f"{model or platform.processor()}, {len(os.sched_getaffinity(0))} cores, Python {platform.python_version()}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recordings", type=Path, default=ROOT.parent / "shared" / "speech")
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=ENGINES, metavar="ENGINE")
    parser.add_argument("--filters", nargs="+", choices=FILTERS, default=["off", "low + gain"], metavar="FILTER")
    parser.add_argument(
        "--only", nargs="+", default=[""], metavar="PART", help="rooms with one of these in their names"
    )
    parser.add_argument("--clips", action="store_true", help="print every transcript")
    parser.add_argument("--latency", action="store_true", help="measure how long finals and partials take instead")
    parser.add_argument("--repeat", type=int, default=15, help="repetitions for --latency")
    options = parser.parse_args()
    if not (options.recordings / "speech.csv").is_file():
        sys.exit(f"no recordings of people at {options.recordings}")
    print(f"{machine()}\n")  # noqa: T201
    clips = read_clips(options.recordings)
    if not options.latency:
        asyncio.run(evaluate(clips, options))
        return
    asyncio.run(measure_latency(clips, options))
    print()  # noqa: T201
    asyncio.run(measure_partials(clips))


if __name__ == "__main__":
    main()
