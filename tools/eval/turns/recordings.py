"""Recordings of people, and their metadata from the table: speaker, language, transcript, notes.

The recordings are not part of the project; a developer may have them beside it, in `../shared/speech`.
"""

from __future__ import annotations

import csv
import re
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from service_kit.audio import MICROPHONE

PROJECT = Path(__file__).parents[3]
RECORDINGS = PROJECT.parent / "shared" / "speech"
NO_SPEECH = "zxx"
UNKNOWN_LANGUAGE = "und"

# The table names one speaker for these.
_SAME_SPEAKER = {"en-acoustic": "en-mfa", "en-cold": "en-mfa"}
# A longer transcript without a sentence mark holds more than one sentence.
_ONE_SENTENCE_WORDS = 30
_EVENT = re.compile(r"<[^>]*>|\[[^\]]*\]|\{[^}]*\}")
_HALTING = re.compile(r"<hes-|<cutoff-|\b(?:um|uh|hm|yknow)\b", re.IGNORECASE)
_VOCAL_NOISE = re.compile(r"breath|laugh|cough|whisper", re.IGNORECASE)
_NUMBER = re.compile(r"\b(?:one|two|three|four|five|six|seven|eight|nine|ten|\d+)\b", re.IGNORECASE)
_REPEATED = re.compile(r"\b(\w+) \1 \1\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Recording:
    """One recording with its row of the table."""

    name: str
    # ISO 639-1; "zxx" for no speech, "und" for not known.
    language: str
    # As its source writes it; empty where the source has none.
    transcript: str
    table_kind: str
    notes: str
    # 16 kHz mono PCM16.
    pcm: bytes

    @property
    def speaker(self) -> str:
        """The speaker: language and first part of the name, which all recordings of a speaker share."""
        speaker = "-".join(self.name.split("-")[:2])
        return _SAME_SPEAKER.get(speaker, speaker)

    @property
    def length_ms(self) -> int:
        return round(MICROPHONE.ms_of(len(self.pcm)))

    @property
    def words(self) -> tuple[str, ...]:
        """The spoken words without punctuation, sound events and broken-off words."""
        plain = _EVENT.sub(" ", self.transcript)
        return tuple(word for raw in plain.split() if (word := raw.strip('.,;:!?"')))

    @property
    def many_speakers(self) -> bool:
        return self.table_kind == "multi-speaker"

    @property
    def is_cut(self) -> bool:
        """Whether its end may be a cut in a longer recording instead of the end of a turn."""
        return "cut in a pause" in self.notes or self.language == UNKNOWN_LANGUAGE

    @property
    def is_unfinished(self) -> bool:
        """Whether its sentence continues after it: the transcript has commas, and no sentence mark at the end."""
        return "," in self.transcript and not self.transcript.endswith((".", "!", "?"))

    @property
    def is_one_sentence(self) -> bool:
        """Whether its transcript is one sentence, so that every pause inside is a pause in a sentence."""
        inside = self.transcript[:-1].replace("Mr.", "Mr")
        return 0 < len(self.words) <= _ONE_SENTENCE_WORDS and not re.search(r"[.!?]", inside)

    @property
    def kind(self) -> str:
        """The kind of speech that makes its pauses hard."""
        if self.many_speakers:
            return "two people"
        if _VOCAL_NOISE.search(self.notes):
            return "breath, laughter, whisper"
        if _HALTING.search(self.transcript):
            return "hesitation"
        if _REPEATED.search(self.transcript):
            return "list"
        if _NUMBER.search(self.transcript):
            return "number"
        if self.words:
            return "sentence"
        return "monologue" if self.length_ms > 7_500 else "command"


def read_recordings(folder: Path = RECORDINGS) -> list[Recording]:
    """All recordings of the table, in its order."""
    with (folder / "speech.csv").open(encoding="utf-8", newline="") as table:
        rows = list(csv.DictReader(table))
    return [
        Recording(
            name=row["file"].removesuffix(".wav"),
            language=row["language"],
            transcript=row["transcript"] if row["transcript_status"] == "source" else "",
            table_kind=row["kind"],
            notes=row["notes"],
            pcm=_samples(folder / row["file"]),
        )
        for row in rows
    ]


def split_speakers(speakers: Sequence[str]) -> tuple[frozenset[str], frozenset[str]]:
    """The speakers to tune on, and those held back: every other one in alphabetical order."""
    order = sorted(set(speakers))
    return frozenset(order[::2]), frozenset(order[1::2])


def _samples(path: Path) -> bytes:
    with wave.open(str(path)) as file:
        return file.readframes(file.getnframes())
