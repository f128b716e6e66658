"""The audio of the trials: recordings as they are, with an inserted pause, or joined to one sentence.

Every pause of a trial has a label, by rule:

- `end`: the last end of speech of a recording that was not cut and whose sentence does not go on.
- `hold`: a pause inside a recording whose transcript is one sentence; or one inserted into such a recording at a
  dip of its own, or between two recordings that form one sentence.
- `goes on`: a pause after which the same speaker goes on, where the sentence ends are not known.
- `unknown`: all others. With two people, a pause may be the end of a turn; these are listed and not counted.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from recordings import Recording
from service_kit.audio import MICROPHONE

SAMPLES_PER_MS = MICROPHONE.rate_hz // 1000
# Room tone before and after; the tail is long enough to see a missed end.
LEAD_MS, TAIL_MS = 512, 4_000
SEED = 20

_TONE_MS = 100
_WINDOW_MS = 10
# A dip is this quiet against the loud parts of the recording, this long, and not near its ends.
_DIP_DB, _DIP_MS, _EDGE_MS = 22.0, 50, 400
_DIPS = 3


class Label(StrEnum):
    """The kind of a pause."""

    END = "end"
    HOLD = "hold"
    GOES_ON = "goes on"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Speech:
    """The spans of speech in a recording: starts and ends, in milliseconds from its beginning."""

    starts_ms: tuple[int, ...]
    ends_ms: tuple[int, ...]

    @property
    def pauses_ms(self) -> list[int]:
        """The lengths of its pauses."""
        return [start - end for end, start in zip(self.ends_ms, self.starts_ms[1:], strict=False)]

    def time_of(self, share: float) -> float:
        """When this share of all speech was over, in milliseconds from the beginning."""
        spans = list(zip(self.starts_ms, self.ends_ms, strict=True))
        left = share * sum(end - start for start, end in spans)
        for start, end in spans:
            if left <= end - start:
                return start + left
            left -= end - start
        return self.ends_ms[-1]


@dataclass(frozen=True, slots=True)
class TimedWord:
    """A word, and when it ends."""

    text: str
    end_ms: int


@dataclass(frozen=True, slots=True)
class Trial:
    """Audio to play, with the words and labels of its pauses."""

    name: str
    recording: Recording
    # Whether its pauses are as spoken; False with an inserted one.
    is_natural: bool
    pcm: bytes
    words: tuple[TimedWord, ...]
    # The label of its inner pauses; with an inserted pause, only of the one that holds `inserted_at_ms`.
    inner: Label
    last: Label
    inserted_at_ms: int | None = None

    def text_until(self, now_ms: int, since_ms: int = 0) -> str:
        """The words that end after `since_ms` and up to `now_ms`."""
        return " ".join(word.text for word in self.words if since_ms < word.end_ms <= now_ms)


def natural_trial(recording: Recording, speech: Speech) -> Trial:
    """The recording as it is, between its own room tone."""
    samples = _samples(recording)
    return Trial(
        name=recording.name,
        recording=recording,
        is_natural=True,
        pcm=_in_room(samples, [samples]),
        words=_timed(recording, speech, LEAD_MS),
        inner=_inner_label(recording),
        last=_last_label(recording),
    )


def trials_with_pauses(recording: Recording, speech: Speech, pauses_ms: Sequence[int]) -> list[Trial]:
    """The recording with a pause inserted at each of its longest dips; the length is drawn from `pauses_ms`."""
    whole = _inner_label(recording) is Label.HOLD or (recording.kind == "command" and not _has_pause(speech))
    if not whole:
        return []
    draw = random.Random(f"{SEED} {recording.name}")
    samples = _samples(recording)
    return [
        _with_pause(recording, speech, samples, at_ms, draw.choice(pauses_ms)) for at_ms in find_dips(recording, speech)
    ]


def joined_trial(
    first: Recording, first_speech: Speech, second: Recording, second_speech: Speech, pause_ms: int
) -> Trial:
    """Two recordings of one speaker that form one sentence, with a pause between them."""
    before = _samples(first)[: first_speech.ends_ms[-1] * SAMPLES_PER_MS]
    after = _samples(second)[second_speech.starts_ms[0] * SAMPLES_PER_MS :]
    silence = room_tone(_samples(first), pause_ms)
    shift_ms = LEAD_MS + first_speech.ends_ms[-1] + pause_ms - second_speech.starts_ms[0]
    return Trial(
        name=f"{first.name}+{second.name}",
        recording=first,
        is_natural=False,
        pcm=_in_room(_samples(first), [before, silence, after]),
        words=_timed(first, first_speech, LEAD_MS) + _timed(second, second_speech, shift_ms),
        inner=Label.HOLD,
        last=Label.UNKNOWN,
        inserted_at_ms=LEAD_MS + first_speech.ends_ms[-1],
    )


def find_dips(recording: Recording, speech: Speech) -> list[int]:
    """The middles of the longest quiet spots between words, too short to be detected as pauses, in order."""
    levels = _levels_db(_samples(recording))
    quiet = levels < np.percentile(levels, 95) - _DIP_DB
    spots: list[tuple[int, int]] = []
    begin: int | None = None
    for window, is_quiet in enumerate([*quiet.tolist(), False]):
        if is_quiet and begin is None:
            begin = window
        elif not is_quiet and begin is not None:
            spots.append((begin * _WINDOW_MS, window * _WINDOW_MS))
            begin = None
    first, last = speech.starts_ms[0] + _EDGE_MS, speech.ends_ms[-1] - _EDGE_MS
    pauses = list(zip(speech.ends_ms, speech.starts_ms[1:], strict=False))
    usable = [
        (start, end)
        for start, end in spots
        if end - start >= _DIP_MS
        and first <= start
        and end <= last
        and not any(start < pause_end + _EDGE_MS and end > pause_start - _EDGE_MS for pause_start, pause_end in pauses)
    ]
    longest = sorted(usable, key=lambda spot: spot[0] - spot[1])[:_DIPS]
    return sorted((start + end) // 2 for start, end in longest)


def room_tone(samples: NDArray[np.int16], length_ms: int) -> NDArray[np.int16]:
    """Room tone of this recording: noise with the spectrum and level of its quietest moment."""
    windows = _levels_db(samples)
    width = min(_TONE_MS // _WINDOW_MS, len(windows))
    start = int(np.argmin(np.convolve(windows, np.ones(width) / width, mode="valid"))) * _WINDOW_MS * SAMPLES_PER_MS
    count = width * _WINDOW_MS * SAMPLES_PER_MS // 2 * 2
    colour = np.abs(np.fft.rfft(samples[start : start + count].astype(np.float64)))
    draw = np.random.default_rng(SEED)
    # Pieces of random phase that overlap by half, cross-faded at constant power.
    fade = np.sin(np.pi * (np.arange(count) + 0.5) / count)
    tone = np.zeros(length_ms * SAMPLES_PER_MS + 2 * count)
    for at in range(0, len(tone) - count + 1, count // 2):
        phase = np.exp(2j * np.pi * draw.random(len(colour)))
        tone[at : at + count] += fade * np.fft.irfft(colour * phase, count)
    inside = tone[count // 2 : count // 2 + length_ms * SAMPLES_PER_MS]
    return np.clip(np.rint(inside), -32768, 32767).astype(np.int16)


def _with_pause(recording: Recording, speech: Speech, samples: NDArray[np.int16], at_ms: int, pause_ms: int) -> Trial:
    cut = at_ms * SAMPLES_PER_MS
    trial = natural_trial(recording, speech)
    words = tuple(
        word if word.end_ms <= LEAD_MS + at_ms else replace(word, end_ms=word.end_ms + pause_ms) for word in trial.words
    )
    return replace(
        trial,
        name=f"{recording.name}@{at_ms}",
        is_natural=False,
        pcm=_in_room(samples, [samples[:cut], room_tone(samples, pause_ms), samples[cut:]]),
        words=words,
        inner=Label.HOLD,
        last=Label.UNKNOWN,
        inserted_at_ms=LEAD_MS + at_ms,
    )


def _in_room(samples: NDArray[np.int16], parts: Sequence[NDArray[np.int16]]) -> bytes:
    return np.concatenate([room_tone(samples, LEAD_MS), *parts, room_tone(samples, TAIL_MS)]).tobytes()


def _timed(recording: Recording, speech: Speech, shift_ms: int) -> tuple[TimedWord, ...]:
    """The words, spread over the speech in proportion to their letters."""
    total = sum(len(word) for word in recording.words)
    said, timed = 0, list[TimedWord]()
    for word in recording.words:
        said += len(word)
        timed.append(TimedWord(word, round(speech.time_of(said / total)) + shift_ms))
    return tuple(timed)


def _inner_label(recording: Recording) -> Label:
    if recording.many_speakers:
        return Label.UNKNOWN
    return Label.HOLD if recording.is_one_sentence else Label.GOES_ON


def _last_label(recording: Recording) -> Label:
    return Label.UNKNOWN if recording.is_cut or recording.is_unfinished else Label.END


def _has_pause(speech: Speech) -> bool:
    return any(pause_ms >= 200 for pause_ms in speech.pauses_ms)


def _samples(recording: Recording) -> NDArray[np.int16]:
    return np.frombuffer(recording.pcm, dtype="<i2")


def _levels_db(samples: NDArray[np.int16]) -> NDArray[np.float64]:
    """The level of each window, in dB of full scale."""
    window = _WINDOW_MS * SAMPLES_PER_MS
    whole = samples[: len(samples) // window * window].reshape(-1, window).astype(np.float64) / 32768
    return 10 * np.log10(np.mean(np.square(whole), axis=1) + 1e-10)
