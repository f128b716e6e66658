"""`make bench-over-reply`: which sounds over a reply stop it, in a real mesh with the default engines, and how soon.

Plays sounds of people to the microphone while the anchor speaks, each over a reply of its own, and prints a row for
each kind. The sounds are recordings that are not part of the project: the laughs, breaths, noises and sentences in a
folder laid out as `../shared/speech` (`--recordings`), and files named `KIND-NAME.wav` in other folders (`--sounds`).
A reply must survive every kind but `speech`, which must stop it.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import platform
import shlex
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from anchor.session.v1 import session_pb2
from anchor_cli.client.audio_files import load_clip
from anchor_cli.client.playback import Speaker
from anchor_cli.client.session_client import FRAME_MS, SessionClient, open_session
from bench_mesh import real_mesh
from noises import collect_noises
from recordings import RECORDINGS, read_recordings
from service_kit.audio import MICROPHONE, to_float
from voice_to_voice import percentile

# The kind of sounds that must stop the reply.
SPEECH = "speech"
# Texts whose answers last longer than any trial.
QUESTIONS = ("How long does it take to get to the other side by ferry?", "What is the weather at the weekend?")
# The reply is spoken for so long before the sound begins.
BEFORE_S = 1.2
# The longest part of a sound that is played, and the time after it in which a verdict may come.
LONGEST_S = 4.0
AFTER_S = 2.0
# Sentences longer than this are not used as interruptions.
LONGEST_SENTENCE_MS = 8_000
# A sound begins with the first frame louder than this (RMS of full scale 1.0).
AUDIBLE_RMS = 0.01


@dataclass(frozen=True, slots=True)
class Sound:
    """A sound over a reply; 16 kHz mono PCM16."""

    kind: str
    name: str
    pcm: bytes


class FrameClock(Speaker):
    """A speaker that notes when the last frame of each reply arrived, also of a stopped one."""

    def __init__(self) -> None:
        super().__init__()
        self.last_frame_s: dict[int, float] = {}
        self._turn_id = 0

    def start_audio(self, turn_id: int, offset_ms: int, now_s: float) -> None:
        self._turn_id = turn_id
        super().start_audio(turn_id, offset_ms, now_s)

    def receive_frame(self, pcm: bytes, now_s: float) -> None:
        self.last_frame_s[self._turn_id] = now_s
        super().receive_frame(pcm, now_s)


@dataclass(frozen=True, slots=True)
class Trial:
    """What one sound did. Times in ms from its first audible sample sent; None where it did not happen."""

    sound: Sound
    paused_ms: float | None
    stopped_ms: float | None
    # From the message that stops the reply to its last frame; 0 when none came later.
    last_frame_after_stop_ms: float
    verdicts: tuple[str, ...]
    heard: str

    @property
    def is_right(self) -> bool:
        return (self.stopped_ms is not None) == (self.sound.kind == SPEECH)


def main() -> None:
    """Run all trials and print the table. Exits with 1 when a sound had the wrong effect."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recordings", type=Path, default=RECORDINGS, help="a folder laid out as ../shared/speech")
    parser.add_argument("--sounds", type=Path, nargs="*", default=[], help="folders of files named KIND-NAME.wav")
    parser.add_argument("--only", nargs="+", default=[""], metavar="PART", help="kinds or names that contain a part")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of the mesh")
    parser.add_argument("--list", action="store_true", help="list every sound")
    arguments = parser.parse_args()
    sounds = [
        sound
        for sound in [*recorded_sounds(arguments.recordings), *itertools.chain(*map(read_sounds, arguments.sounds))]
        if any(part in f"{sound.kind}-{sound.name}" for part in arguments.only)
    ]
    if not sounds:
        sys.exit("no sounds")
    environment = dict(setting.split("=", 1) for setting in arguments.set)
    trials = asyncio.run(run_trials(sounds, {"ANCHOR_MODELS": "default", **environment}))
    print(report(trials, arguments.list))  # noqa: T201
    sys.exit(any(not trial.is_right for trial in trials))


def recorded_sounds(folder: Path) -> list[Sound]:
    """The noises of `make eval-turns`, and the English sentences as speech."""
    recordings = read_recordings(folder)
    noises = [
        Sound(noise.kind.replace("recorded: ", ""), noise.name, noise.pcm) for noise in collect_noises(recordings)
    ]
    people = [each for each in recordings if each.language == "en" and each.length_ms <= LONGEST_SENTENCE_MS]
    return [*noises, *(Sound(SPEECH, each.name, each.pcm) for each in people)]


def read_sounds(folder: Path) -> list[Sound]:
    """The sounds of a folder; the kind is the part of each name before the first hyphen."""
    return [Sound(path.stem.partition("-")[0], path.stem, load_clip(path)) for path in sorted(folder.iterdir())]


async def run_trials(sounds: Sequence[Sound], environment: dict[str, str]) -> list[Trial]:
    """Play each sound over a reply of its own, one after another."""
    questions = itertools.cycle(QUESTIONS)
    async with real_mesh(environment) as mesh:
        return [await _run_trial(mesh.url, sound, next(questions)) for sound in sounds]


async def _run_trial(url: str, sound: Sound, question: str) -> Trial:
    pcm = sound.pcm[: MICROPHONE.bytes_for(LONGEST_S * 1000)]
    clock = asyncio.get_running_loop().time
    async with open_session(url, language="en") as talk:
        talk.speaker = frames = FrameClock()
        await talk.send_message("text_input", text=question)
        turn_id = (await talk.wait_for("reply_audio", within_s=15)).message.turn_id
        await asyncio.sleep(BEFORE_S)
        since = len(talk.events)
        began_s = clock() + audible_from_ms(pcm) / 1000
        await talk.play_clip(pcm)
        await asyncio.sleep(AFTER_S)
        await _wait_for_verdicts(talk, since)
        events = talk.events[since:]
    paused_s = next((event.at_s for event in events if event.name == "playback_pause"), None)
    stopped_s = next((event.at_s for event in events if event.name == "playback_stop"), None)
    return Trial(
        sound,
        None if paused_s is None else (paused_s - began_s) * 1000,
        None if stopped_s is None else (stopped_s - began_s) * 1000,
        0.0 if stopped_s is None else max(0.0, frames.last_frame_s[turn_id] - stopped_s) * 1000,
        tuple(
            session_pb2.BargeInVerdict.Name(event.message.verdict).removeprefix("BARGE_IN_VERDICT_").lower()
            for event in events
            if event.name == "barge_in_settled"
        ),
        " | ".join(event.message.text for event in events if event.name in ("partial_transcript", "final_transcript")),
    )


async def _wait_for_verdicts(talk: SessionClient, since: int) -> None:
    """Wait until no pause is open."""
    await talk.wait_until(
        lambda events: (
            True
            if any(event.name == "playback_stop" for event in events[since:])
            or sum(event.name == "playback_pause" for event in events[since:])
            <= sum(event.name in ("playback_resume", "reply_finished") for event in events[since:])
            else None
        ),
        10,
        "verdict",
    )


def audible_from_ms(pcm: bytes) -> int:
    """Start of the first frame that is audible."""
    samples = to_float(pcm)
    size = MICROPHONE.rate_hz * FRAME_MS // 1000
    for at in range(0, len(samples), size):
        if float(np.sqrt(np.mean(samples[at : at + size] ** 2))) > AUDIBLE_RMS:
            return at // size * FRAME_MS
    return 0


def report(trials: Sequence[Trial], listed: bool) -> str:
    """Return the table as Markdown."""
    lines = [
        f"`{shlex.join(sys.argv)}`, {platform.machine()}",
        "",
        "| sound | n | paused | stopped | pause p50 / p95 ms | stop p50 / p95 ms | last frame after stop, max ms "
        "| verdicts |",
        "|---|---|---|---|---|---|---|---|",
    ]
    kinds = dict.fromkeys(trial.sound.kind for trial in trials)
    lines += [_row(kind, [trial for trial in trials if trial.sound.kind == kind]) for kind in kinds]
    false = [trial for trial in trials if trial.sound.kind != SPEECH]
    lines.append(_row(f"all but {SPEECH}", false))
    if listed:
        lines += ["", "| sound | paused ms | stopped ms | verdicts | heard |", "|---|---|---|---|---|"]
        for trial in trials:
            cells = (_ms(trial.paused_ms), _ms(trial.stopped_ms), ", ".join(trial.verdicts), trial.heard)
            lines.append(f"| {trial.sound.kind}: {trial.sound.name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _row(name: str, trials: Sequence[Trial]) -> str:
    paused = [trial.paused_ms for trial in trials if trial.paused_ms is not None]
    stopped = [trial.stopped_ms for trial in trials if trial.stopped_ms is not None]
    verdicts = Counter(verdict for trial in trials for verdict in trial.verdicts)
    last = max((trial.last_frame_after_stop_ms for trial in trials), default=0)
    return (
        f"| {name} | {len(trials)} | {len(paused)} | {len(stopped)} | {_spread(paused)} | {_spread(stopped)} "
        f"| {last:.0f} | {', '.join(f'{count} {verdict}' for verdict, count in sorted(verdicts.items())) or '–'} |"
    )


def _spread(values: Sequence[float]) -> str:
    return f"{percentile(values, 50):.0f} / {percentile(values, 95):.0f}" if values else "–"


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f}"


if __name__ == "__main__":
    main()
