"""`make eval-tts`: how well speech is understood, and how fast it comes, by engine and language.

Speaks the sentences of content/knowledge through the service's own engines, each as a reply, and transcribes them with
Whisper base. Counts the words that differ (WER): a round trip, so Whisper's own errors are part of it, and digits are
compared as words. Prints the Markdown table of docs/evaluation.md.
"""

from __future__ import annotations

import argparse
import asyncio
import platform
import re
import statistics
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import soxr
from numpy.typing import NDArray
from offline_engines import ROOT, word_errors
from orchestrator.knowledge.numbers import spell_numbers
from service_kit.audio import MICROPHONE, SPEECH, to_float
from service_kit.engines.info import engine_class
from stt_service.engines.whisper.decoding import ClipOptions, ModelOptions, WhisperModel
from tts_service.engine import Style
from tts_service.engines import ENGINES
from tts_service.measure import SpokenReply, speak_reply
from tts_service.settings import TtsSettings
from tts_service.voices.catalogue import resolve_config

KNOWLEDGE = ROOT / "content" / "knowledge"
# Engine, its languages. Hindi is spoken and timed only: Whisper base writes it in the script of Urdu.
ENGINE_LANGUAGES = {
    "hibari": ("en",),
    "kokoro": ("es", "fr", "it", "pt", "hi", "en"),
    "espeak": ("en", "es", "fr", "it", "pt", "de", "nl", "hi"),
}
UNJUDGED = {"hi"}
# Silence around a clip, as a listener's recording has it.
MARGIN_S = 0.2
# Spellings and titles that sound alike.
SAME_WORDS = {"harbour": "harbor", "colour": "color", "mr": "mister", "mrs": "missus", "dr": "doctor", "okay": "ok"}


@dataclass
class Score:
    """The sums over the sentences of one engine in one language."""

    words: int = 0
    errors: int = 0
    first_ms: list[float] = field(default_factory=list)
    factors: list[float] = field(default_factory=list)
    cpu_factors: list[float] = field(default_factory=list)
    wrong: list[tuple[str, str]] = field(default_factory=list)


def main() -> None:
    """Print the table, and the sentences with errors with --wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engines", nargs="+", default=["hibari", "espeak"], choices=sorted(ENGINE_LANGUAGES))
    parser.add_argument("--languages", nargs="+", default=[], help="only these")
    parser.add_argument("--sentences", type=int, default=60, help="per language, spread over all passages")
    parser.add_argument("--whisper", type=Path, default=ROOT / "models" / "whisper-base")
    parser.add_argument("--wrong", action="store_true", help="print what was heard where it differs")
    options = parser.parse_args()
    asyncio.run(evaluate(options))


async def evaluate(options: argparse.Namespace) -> None:
    """Speak and transcribe with each engine in turn."""
    listener = WhisperModel(ModelOptions(str(options.whisper)))
    settings = TtsSettings(phrase_cache_mib=0, max_ahead_s=3600, engine_silent_s=120, models_dir=ROOT / "models")
    write(f"{describe_machine()}; {options.sentences} sentences a language at most\n")
    write("| engine | language | sentences | round-trip WER % | first audio ms, median (p95) | RTF | CPU RTF |")
    write("|---|---|---|---|---|---|---|")
    scores: list[Score] = []
    for name in options.engines:
        engine: Any = engine_class(ENGINES, name)(settings)
        async with engine.lifespan():
            for language in ENGINE_LANGUAGES[name]:
                if options.languages and language not in options.languages:
                    continue
                sentences = pick(list(read_sentences(KNOWLEDGE, language)), options.sentences)
                scores.append(await evaluate_language(engine, language, sentences, listener))
                write(table_row(name, language, scores[-1], len(sentences)))
    if options.wrong:
        for reference, heard in (pair for score in scores for pair in score.wrong):
            write(f"- {reference}\n  {heard}")


async def evaluate_language(engine: Any, language: str, sentences: Sequence[str], listener: WhisperModel) -> Score:
    """Speak each sentence in the language's default voice, and transcribe it."""
    score = Score()
    config = resolve_config(engine.voices(), "", language, Style())
    for sentence in sentences:
        before_s = children_cpu_s()
        reply = await speak_reply(engine, config, sentence)
        add_times(score, reply, children_cpu_s() - before_s)
        if language in UNJUDGED:
            continue
        heard = listener.transcribe(to_microphone(reply.pcm), ClipOptions(language=language)).text
        expected = words_of(sentence, language)
        errors = word_errors(expected, words_of(heard, language))
        score.words += len(expected)
        score.errors += errors
        if errors:
            score.wrong.append((sentence, heard))
    return score


def add_times(score: Score, reply: SpokenReply, cpu_s: float) -> None:
    """Add the times of one reply."""
    score.first_ms.append(1000 * reply.first_audio_s)
    score.factors.append(reply.total_s / reply.duration_s)
    score.cpu_factors.append(cpu_s / reply.duration_s)


def read_sentences(folder: Path, language: str) -> Iterator[str]:
    """The sentences of the passages in one language, as they are written."""
    for path in sorted(folder.glob("*.md")):
        header, body = path.read_text("utf-8").split("---\n", 2)[1:]
        match = re.search(r"^language: (\w+)", header, re.MULTILINE)
        if (match[1] if match else "en") == language:
            for sentence in re.split(r"(?<=[.!?।])\s+", " ".join(body.split())):
                if sum(map(str.isalpha, sentence)) > 10:
                    yield sentence


def pick(sentences: list[str], count: int) -> list[str]:
    """At most `count` of the sentences, evenly spread."""
    step = max(len(sentences) / count, 1)
    return [sentences[int(place * step)] for place in range(min(count, len(sentences)))]


def words_of(text: str, language: str) -> list[str]:
    """The words as they are compared: lower case, numbers written out, without punctuation."""
    plain = unicodedata.normalize("NFC", spell_numbers(text, language)).lower().replace("’", "'")
    words = re.findall(r"[^\W\d_]+(?:'[^\W\d_]+)*|\d+", plain.replace("-", " "))
    return [SAME_WORDS.get(word, word) for word in words]


def to_microphone(pcm: bytes) -> NDArray[np.float32]:
    """Speech at the rate that recognisers take, with silence around it."""
    samples = soxr.resample(to_float(pcm), SPEECH.rate_hz, MICROPHONE.rate_hz).astype(np.float32)
    return np.pad(samples, int(MARGIN_S * MICROPHONE.rate_hz))


def children_cpu_s() -> float:
    """Processor time of the child processes so far, in seconds: the engines' workers. 0 where there is no /proc."""
    ticks = 0
    for listed in Path("/proc/self/task").glob("*/children"):
        for pid in listed.read_text("ascii").split():
            fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
            # utime and stime.
            ticks += int(fields[11]) + int(fields[12])
    return ticks / 100


def table_row(name: str, language: str, score: Score, sentences: int) -> str:
    """One line of the table."""
    rate = f"{100 * score.errors / score.words:.1f}" if score.words else "–"
    late = sorted(score.first_ms)[int(0.95 * (len(score.first_ms) - 1))]
    return (
        f"| {name} | {language} | {sentences} | {rate} | {statistics.median(score.first_ms):.0f} ({late:.0f}) "
        f"| {statistics.median(score.factors):.3f} | {statistics.median(score.cpu_factors):.3f} |"
    )


def describe_machine() -> str:
    """The processor and the number of cores."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text("utf-8").splitlines() if info.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{models[0] if models else platform.processor()}, {len(models) or '?'} cores"


def write(line: str) -> None:
    """Print a line at once: the run takes minutes."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
