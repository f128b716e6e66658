"""`make eval-filters`: whether noise suppression and automatic gain improve detection and recognition of speech.

Runs on recordings of people, which are not part of the project: `--recordings` names their folder, laid out as
`../shared/speech`. Prints the Markdown tables of docs/evaluation.md.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import noise_mixing
from noise_mixing import Samples
from offline_engines import ROOT, Spans, VadRunner, VadScore, load_recogniser, reference_words, transcribe, word_errors
from orchestrator.audio_filters.build import build_filter
from orchestrator.conversation.model.ports import AudioFilter
from service_kit.audio import MICROPHONE
from stt_service.engines.pocketsphinx.engine import PocketsphinxEngine

FRAME_BYTES = MICROPHONE.bytes_for(20)
LONGEST_MS = 15_000
SNRS_DB = (20, 10, 5, 0)
QUIET_DBFS = -45
GAIN_TARGET_DBFS = -20
# Words are counted only in clips with at most this word error rate when clean.
MAX_CLEAN_ERROR_RATE = 0.4

FILTERS: dict[str, Callable[[], AudioFilter | None]] = {
    "off": build_filter("off", "off"),
    "low": build_filter("low", "off"),
    "medium": build_filter("medium", "off"),
    "high": build_filter("high", "off"),
    "gain": build_filter("off", GAIN_TARGET_DBFS),
    "low + gain": build_filter("low", GAIN_TARGET_DBFS),
}
DEFAULT_FILTERS = ["off", "low", "gain", "low + gain"]


@dataclass
class Clip:
    """A recording; `spans` is the speech detected in the clean recording, in ms."""

    name: str
    language: str
    words: list[str]
    samples: Samples
    spans: Spans


@dataclass
class Condition:
    """A noise condition; `apply` renders a clip in it."""

    name: str
    noise: str
    apply: Callable[[Clip], Samples]


def apply_filter(build: Callable[[], AudioFilter | None], samples: Samples) -> bytes:
    """The output of a new filter, fed in frames of 20 ms as a microphone sends them."""
    pcm, audio_filter = noise_mixing.pcm16(samples), build()
    if audio_filter is None:
        return pcm
    return (
        b"".join(audio_filter.process(pcm[at : at + FRAME_BYTES]) for at in range(0, len(pcm), FRAME_BYTES))
        + audio_filter.flush()
    )


def read_clips(folder: Path) -> list[Clip]:
    """All recordings up to `LONGEST_MS`, without their spans."""
    with (folder / "speech.csv").open(encoding="utf-8", newline="") as table:
        rows = list(csv.DictReader(table))
    clips: list[Clip] = []
    for row in rows:
        samples = noise_mixing.read_wav(folder / row["file"])
        has_words = row["transcript_status"] == "source" and row["language"] == "en"
        words = reference_words(row["transcript"]) if has_words else []
        if len(samples) <= LONGEST_MS * 16 or row["language"] == "zxx":
            clips.append(Clip(row["file"].removesuffix(".wav"), row["language"], words, samples, []))
    return clips


def background_noises(clips: list[Clip]) -> dict[str, Samples]:
    """The noises to mix in, as long as the longest clip. The babble has no speaker whose words are counted."""
    length = LONGEST_MS * 16
    by_name = {clip.name: clip.samples for clip in clips}
    voices = [clip.samples for clip in clips if clip.language in ("de", "es", "fr", "nl")][:6]
    return {
        "white": noise_mixing.white_noise(length, 1),
        "pink": noise_mixing.pink_noise(length, 2),
        "babble": noise_mixing.babble_noise(voices, length),
        "office": noise_mixing.loop(by_name["zxx-office"], length),
        "music": noise_mixing.loop(by_name["zxx-brahms"], length),
    }


def conditions(sounds: dict[str, Samples]) -> Iterator[Condition]:
    """All conditions, the clean one first."""

    def noisy(noise: Samples, snr_db: float) -> Callable[[Clip], Samples]:
        return lambda clip: noise_mixing.mix(clip.samples, clip.spans, noise, snr_db)

    def quiet(make: Callable[[Clip], Samples]) -> Callable[[Clip], Samples]:
        return lambda clip: make(clip) * 10 ** ((QUIET_DBFS - noise_mixing.speech_dbfs(clip.samples, clip.spans)) / 20)

    yield Condition("clean", "", lambda clip: clip.samples)
    yield Condition(f"quiet, {QUIET_DBFS} dBFS", "", quiet(lambda clip: clip.samples))
    yield Condition(f"quiet, office {SNRS_DB[1]} dB", "office", quiet(noisy(sounds["office"], SNRS_DB[1])))
    for name, noise in sounds.items():
        for snr_db in SNRS_DB:
            yield Condition(f"{name} {snr_db} dB", name, noisy(noise, snr_db))


def score_detection(
    detector: VadRunner, condition: Condition, clips: list[Clip], build: Callable[[], AudioFilter | None]
) -> VadScore:
    """Score speech detection in one condition with one filter."""
    score = VadScore()
    audio = [apply_filter(build, condition.apply(clip)) for clip in clips]
    for clip, pcm, spans in zip(clips, audio, detector.find_speech(audio), strict=True):
        score.add(clip.spans, spans, len(pcm) // 32)
    return score


def score_false_alarms(detector: VadRunner, sounds: list[Samples], build: Callable[[], AudioFilter | None]) -> VadScore:
    """Score how much of noise alone, loud and quiet, is taken for speech."""
    score = VadScore()
    audio = [apply_filter(build, noise_mixing.set_level(sound, dbfs)) for sound in sounds for dbfs in (-25, QUIET_DBFS)]
    for pcm, spans in zip(audio, detector.find_speech(audio), strict=True):
        score.add([], spans, len(pcm) // 32)
    return score


async def count_word_errors(
    engine: PocketsphinxEngine, condition: Condition, clips: list[Clip], build: Callable[[], AudioFilter | None]
) -> int:
    """The number of wrong words over all clips."""
    texts = [await transcribe(engine, apply_filter(build, condition.apply(clip))) for clip in clips]
    return sum(word_errors(clip.words, text.split()) for clip, text in zip(clips, texts, strict=True))


def measure_cost_us(build: Callable[[], AudioFilter | None], samples: Samples) -> float:
    """Processor time for a frame of 20 ms, in µs: the best of three runs, because other programs run too."""
    costs: list[float] = []
    for _ in range(3):
        begun_s = time.process_time()
        apply_filter(build, samples)
        costs.append((time.process_time() - begun_s) * 1e6 / (len(samples) * 2 / FRAME_BYTES))
    return min(costs)


def print_row(*cells: object) -> None:
    print("|", " | ".join(str(cell) for cell in cells), "|", flush=True)  # noqa: T201


async def recognisable_clips(engine: PocketsphinxEngine, clips: list[Clip]) -> list[Clip]:
    """The clips that are recognised well enough, when clean, for noise to make a difference."""
    found: list[Clip] = []
    for clip in clips:
        if clip.words and clip.spans:
            text = await transcribe(engine, noise_mixing.pcm16(clip.samples))
            if word_errors(clip.words, text.split()) <= MAX_CLEAN_ERROR_RATE * len(clip.words):
                found.append(clip)
    return found


async def evaluate(folder: Path, filters: list[str], only: list[str]) -> None:
    """Measure, and print each row when it is done."""
    detector = VadRunner()
    clips = read_clips(folder)
    clean_spans = detector.find_speech([noise_mixing.pcm16(clip.samples) for clip in clips])
    for clip, spans in zip(clips, clean_spans, strict=True):
        clip.spans = spans
    people = [clip for clip in clips if clip.spans]
    sounds = background_noises(clips)
    with tempfile.TemporaryDirectory() as models_dir:
        async with load_recogniser(Path(models_dir)) as engine:
            recognisable = await recognisable_clips(engine, people)
            print_introduction(people, recognisable)
            words = sum(len(clip.words) for clip in recognisable)
            for condition in conditions(sounds):
                for name in filters if any(part in condition.name for part in only) else []:
                    score = score_detection(detector, condition, people, FILTERS[name])
                    wrong = await count_word_errors(engine, condition, recognisable, FILTERS[name])
                    print_row(condition.name, name, *score.table_cells, f"{100 * wrong / words:.0f}")
    silent = [clip.samples for clip in clips if clip.language == "zxx"] + [sounds["white"], sounds["pink"]]
    speech = noise_mixing.loop(people[0].samples, 160_000)
    print_header("filter", "noise alone taken for speech %", "µs per 20 ms")
    for name in filters:
        score = score_false_alarms(detector, silent, FILTERS[name])
        print_row(name, score.table_cells[2], f"{measure_cost_us(FILTERS[name], speech):.0f}")


def print_introduction(people: list[Clip], recognisable: list[Clip]) -> None:
    seconds = sum(len(clip.samples) for clip in people) / MICROPHONE.rate_hz
    print(f"{len(people)} clips of people, {seconds:.0f} s. Words: {', '.join(clip.name for clip in recognisable)}.\n")  # noqa: T201
    print_header(
        "room", "filter", "speech heard %", "missed", "silence taken for speech %", "start off by ms", "stop off by ms",
        "words wrong %",
    )  # fmt: skip


def print_header(*cells: str) -> None:
    print_row(*cells)
    print_row(*["---"] * len(cells))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recordings", type=Path, default=ROOT.parent / "shared" / "speech")
    parser.add_argument("--filters", "--aids", nargs="+", choices=FILTERS, default=DEFAULT_FILTERS, metavar="FILTER")
    parser.add_argument(
        "--only", nargs="+", default=[""], help="rooms with one of these in their names", metavar="PART"
    )
    options = parser.parse_args()
    if not (options.recordings / "speech.csv").is_file():
        sys.exit(f"no recordings of people at {options.recordings}")
    asyncio.run(evaluate(options.recordings, options.filters, options.only))


if __name__ == "__main__":
    main()
