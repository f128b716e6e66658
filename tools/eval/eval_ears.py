"""`make eval-stt`: whether noise suppression and automatic gain help to hear people, measured on recordings of them.

The recordings are not part of the project: `--recordings` says where they stand, in the form of `../shared/speech`.
Prints Markdown tables, those of docs/evaluation.md.
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

import rooms
from audiometry import ROOT, Spans, VoiceDetector, VoiceScore, recogniser, transcript
from orchestrator.audio_filters.build import build_filter
from orchestrator.conversation.model.ports import AudioFilter
from rooms import Samples
from service_kit.audio import MICROPHONE
from stt_service.engines.pocketsphinx.engine import PocketsphinxEngine
from transcripts import errors, spoken

FRAME_BYTES = MICROPHONE.bytes_for(20)
LONGEST_MS = 15_000
SNRS_DB = (20, 10, 5, 0)
QUIET_DBFS = -45
GAIN_TARGET_DBFS = -20
# Of a clip whose words are counted, at most so many are wrong when it is clean.
FAIR = 0.4

AIDS: dict[str, Callable[[], AudioFilter | None]] = {
    "off": build_filter("off", "off"),
    "low": build_filter("low", "off"),
    "medium": build_filter("medium", "off"),
    "high": build_filter("high", "off"),
    "gain": build_filter("off", GAIN_TARGET_DBFS),
    "low + gain": build_filter("low", GAIN_TARGET_DBFS),
}
DEFAULT_AIDS = ["off", "low", "gain", "low + gain"]


@dataclass
class Clip:
    """A recording; `spans` is where speech is heard in it as it is."""

    name: str
    language: str
    words: list[str]
    samples: Samples
    spans: Spans


@dataclass
class Room:
    """A condition: what becomes of a clip in it."""

    name: str
    noise: str
    make: Callable[[Clip], Samples]


def worn(fit: Callable[[], AudioFilter | None], samples: Samples) -> bytes:
    """The audio as it leaves a new hearing audio_filter, frame by frame as a microphone sends it."""
    pcm, audio_filter = rooms.pcm16(samples), fit()
    if audio_filter is None:
        return pcm
    return (
        b"".join(audio_filter.process(pcm[at : at + FRAME_BYTES]) for at in range(0, len(pcm), FRAME_BYTES))
        + audio_filter.flush()
    )


def read_clips(folder: Path) -> list[Clip]:
    """All recordings that are not too long, without their spans."""
    with (folder / "speech.csv").open(encoding="utf-8", newline="") as table:
        rows = list(csv.DictReader(table))
    clips: list[Clip] = []
    for row in rows:
        samples = rooms.read(folder / row["file"])
        said = spoken(row["transcript"]) if row["transcript_status"] == "source" and row["language"] == "en" else []
        if len(samples) <= LONGEST_MS * 16 or row["language"] == "zxx":
            clips.append(Clip(row["file"].removesuffix(".wav"), row["language"], said, samples, []))
    return clips


def noises(clips: list[Clip]) -> dict[str, Samples]:
    """What is mixed in, as long as the longest clip. Those who babble are none of those whose words are counted."""
    length = LONGEST_MS * 16
    by_name = {clip.name: clip.samples for clip in clips}
    voices = [clip.samples for clip in clips if clip.language in ("de", "es", "fr", "nl")][:6]
    return {
        "white": rooms.white(length, 1),
        "pink": rooms.pink(length, 2),
        "babble": rooms.babble(voices, length),
        "office": rooms.looped(by_name["zxx-office"], length),
        "music": rooms.looped(by_name["zxx-brahms"], length),
    }


def all_rooms(sounds: dict[str, Samples]) -> Iterator[Room]:
    """Every condition, the clean one first."""

    def noisy(noise: Samples, snr_db: float) -> Callable[[Clip], Samples]:
        return lambda clip: rooms.mixed(clip.samples, clip.spans, noise, snr_db)

    def quiet(make: Callable[[Clip], Samples]) -> Callable[[Clip], Samples]:
        return lambda clip: make(clip) * 10 ** ((QUIET_DBFS - rooms.speech_dbfs(clip.samples, clip.spans)) / 20)

    yield Room("clean", "", lambda clip: clip.samples)
    yield Room(f"quiet, {QUIET_DBFS} dBFS", "", quiet(lambda clip: clip.samples))
    yield Room(f"quiet, office {SNRS_DB[1]} dB", "office", quiet(noisy(sounds["office"], SNRS_DB[1])))
    for name, noise in sounds.items():
        for snr_db in SNRS_DB:
            yield Room(f"{name} {snr_db} dB", name, noisy(noise, snr_db))


def heard_in(
    detector: VoiceDetector, room: Room, clips: list[Clip], fit: Callable[[], AudioFilter | None]
) -> VoiceScore:
    """How speech is found in one condition with one hearing audio_filter."""
    score = VoiceScore()
    audio = [worn(fit, room.make(clip)) for clip in clips]
    for clip, pcm, spans in zip(clips, audio, detector.spans(audio), strict=True):
        score.add(clip.spans, spans, len(pcm) // 32)
    return score


def false_alarms(detector: VoiceDetector, sounds: list[Samples], fit: Callable[[], AudioFilter | None]) -> VoiceScore:
    """How much of noise alone, loud and quiet, is taken for speech."""
    score = VoiceScore()
    audio = [worn(fit, rooms.at_level(sound, dbfs)) for sound in sounds for dbfs in (-25, QUIET_DBFS)]
    for pcm, spans in zip(audio, detector.spans(audio), strict=True):
        score.add([], spans, len(pcm) // 32)
    return score


async def misunderstood(
    engine: PocketsphinxEngine, room: Room, clips: list[Clip], fit: Callable[[], AudioFilter | None]
) -> int:
    """Words that were got wrong."""
    heard = [await transcript(engine, worn(fit, room.make(clip))) for clip in clips]
    return sum(errors(clip.words, text.split()) for clip, text in zip(clips, heard, strict=True))


def cost_us(fit: Callable[[], AudioFilter | None], samples: Samples) -> float:
    """Processor time for a frame of 20 ms: the best of three, for others use this machine too."""
    costs: list[float] = []
    for _ in range(3):
        begun_s = time.process_time()
        worn(fit, samples)
        costs.append((time.process_time() - begun_s) * 1e6 / (len(samples) * 2 / FRAME_BYTES))
    return min(costs)


def line(*cells: object) -> None:
    print("|", " | ".join(str(cell) for cell in cells), "|", flush=True)  # noqa: T201


async def fair_clips(engine: PocketsphinxEngine, clips: list[Clip]) -> list[Clip]:
    """Those that are understood well enough, when clean, for noise to make a difference."""
    found: list[Clip] = []
    for clip in clips:
        if clip.words and clip.spans:
            text = await transcript(engine, rooms.pcm16(clip.samples))
            if errors(clip.words, text.split()) <= FAIR * len(clip.words):
                found.append(clip)
    return found


async def evaluate(folder: Path, aids: list[str], only: list[str]) -> None:
    """Measure, and print as it comes."""
    detector = VoiceDetector()
    clips = read_clips(folder)
    for clip, spans in zip(clips, detector.spans([rooms.pcm16(clip.samples) for clip in clips]), strict=True):
        clip.spans = spans
    people = [clip for clip in clips if clip.spans]
    sounds = noises(clips)
    with tempfile.TemporaryDirectory() as models_dir:
        async with recogniser(Path(models_dir)) as engine:
            fair = await fair_clips(engine, people)
            introduce(people, fair)
            for room in all_rooms(sounds):
                for audio_filter in aids if any(part in room.name for part in only) else []:
                    score = heard_in(detector, room, people, AIDS[audio_filter])
                    wrong = await misunderstood(engine, room, fair, AIDS[audio_filter])
                    line(
                        room.name,
                        audio_filter,
                        *score.cells,
                        f"{100 * wrong / sum(len(clip.words) for clip in fair):.0f}",
                    )
    silent = [clip.samples for clip in clips if clip.language == "zxx"] + [sounds["white"], sounds["pink"]]
    heading("audio_filter", "noise alone taken for speech %", "µs per 20 ms")
    for audio_filter in aids:
        score = false_alarms(detector, silent, AIDS[audio_filter])
        line(
            audio_filter, score.cells[2], f"{cost_us(AIDS[audio_filter], rooms.looped(people[0].samples, 160_000)):.0f}"
        )


def introduce(people: list[Clip], fair: list[Clip]) -> None:
    seconds = sum(len(clip.samples) for clip in people) / MICROPHONE.rate_hz
    print(f"{len(people)} clips of people, {seconds:.0f} s. Words: {', '.join(clip.name for clip in fair)}.\n")  # noqa: T201
    heading(
        "room", "aid", "speech heard %", "missed", "silence taken for speech %", "start off by ms", "stop off by ms",
        "words wrong %",
    )  # fmt: skip


def heading(*cells: str) -> None:
    line(*cells)
    line(*["---"] * len(cells))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recordings", type=Path, default=ROOT.parent / "shared" / "speech")
    parser.add_argument("--aids", nargs="+", choices=AIDS, default=DEFAULT_AIDS, metavar="AID")
    parser.add_argument(
        "--only", nargs="+", default=[""], help="rooms with one of these in their names", metavar="PART"
    )
    options = parser.parse_args()
    if not (options.recordings / "speech.csv").is_file():
        sys.exit(f"no recordings of people at {options.recordings}")
    asyncio.run(evaluate(options.recordings, options.aids, options.only))


if __name__ == "__main__":
    main()
