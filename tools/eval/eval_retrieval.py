"""`make eval-retrieval`: whether questions find their passage, typed and spoken, and others find none.

Compares BM25 alone, embeddings alone and both, on the questions of tools/eval/data and content/questions. Prints the
Markdown tables of docs/evaluation.md.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import statistics
import sys
import tempfile
import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import soundfile
from offline_engines import ROOT, reference_words, transcribe_final, word_errors
from orchestrator.knowledge.embeddings.embedder import EmbeddingProcess
from orchestrator.knowledge.embeddings.semantic_index import SemanticIndex, SemanticState
from orchestrator.knowledge.embeddings.vector_file import VectorFile
from orchestrator.knowledge.embeddings.worker import PACKAGE
from orchestrator.knowledge.folder import KnowledgeFolder
from orchestrator.knowledge.index import PassageIndex
from orchestrator.knowledge.retriever import MIN_EVIDENCE, MIN_SCORE, Retriever
from service_kit.audio import MICROPHONE
from service_kit.engines.info import engine_class
from stt_service.app import ENGINES
from stt_service.engines.whisper.engine import WhisperEngine
from stt_service.retranscribing.words import normalise
from stt_service.settings import SttSettings

DATA = Path(__file__).parent / "data"
QUESTIONS = ROOT / "content" / "questions"
BUILD_S = 300.0
# Before and after each recording, as a microphone has it.
SILENCE = bytes(MICROPHONE.bytes_for(300))
# The evaluation asks without haste: it measures rankings, and the time of a search apart from them.
DEADLINE_S = 10.0


@dataclass(frozen=True)
class Question:
    """A question and the passage that answers it; `passage` is empty when none does."""

    text: str
    passage: str = ""
    language: str = "en"
    group: str = ""
    title_words: bool = True
    recording: Path | None = None
    # Other transcripts of the recording.
    alternatives: tuple[str, ...] = ()

    @property
    def hypotheses(self) -> tuple[str, ...]:
        return (self.text, *self.alternatives)


@dataclass
class Searches:
    """The same knowledge behind the searches that are compared."""

    index: PassageIndex
    semantic: SemanticIndex
    retriever: Retriever
    seconds: list[float] = field(default_factory=list[float])

    def by_words(self, question: Question) -> list[str]:
        """Passages by BM25, best first."""
        return [match.passage.id for match in self.index.search(question.hypotheses, question.language)]

    async def by_meaning(self, question: Question, everywhere: bool = False) -> list[str]:
        """Passages by cosine, best first: those in the question's language, or all."""
        cosines = (await self.semantic.similarities(question.text, self.index.passages)).passages
        languages = {passage.id: passage.language for passage in self.index.passages}
        wanted = [name for name in cosines if everywhere or languages[name] == question.language]
        return sorted(wanted, key=lambda name: -cosines[name])

    async def by_both(self, question: Question) -> tuple[list[str], str]:
        """Passages as the product orders them, best first, and the one it answers from, empty for none."""
        started_s = time.perf_counter()
        found = await self.retriever.find(question.hypotheses, question.language)
        self.seconds.append(time.perf_counter() - started_s)
        return [match.passage.id for match in found.matches], found.answer.id if found.answer else ""


def read_questions(name: str, **keys: str) -> list[Question]:
    """Read a list of tools/eval/data; `keys` renames its keys to those of `Question`."""
    (entries,) = tomllib.loads((DATA / name).read_text("utf-8")).values()
    return [Question(**{keys.get(key, key): value for key, value in entry.items()}) for entry in entries]


def read_paraphrases() -> list[Question]:
    """The spoken questions, each with its recording."""
    questions = read_questions("paraphrases.toml", question="text")
    return [
        replace(question, recording=DATA / "audio" / f"{number:03}.flac")
        for number, question in enumerate(questions, 1)
    ]


def read_shipped() -> list[Question]:
    """The questions that ship with the project."""
    entries = tomllib.loads((QUESTIONS / "questions.toml").read_text("utf-8"))["question"]
    return [Question(entry["text"], entry["topic"], recording=QUESTIONS / entry["file"]) for entry in entries]


def recall(rankings: Sequence[Sequence[str]], questions: Sequence[Question], depth: int) -> int:
    """The number of questions whose passage is among the first `depth`."""
    return sum(question.passage in ranking[:depth] for ranking, question in zip(rankings, questions, strict=True))


async def english_row(name: str, questions: Sequence[Question], searches: Searches) -> tuple[str, list[str]]:
    """A row of the table of English questions, and the questions answered wrongly or not at all."""
    words = [searches.by_words(question) for question in questions]
    meaning = [await searches.by_meaning(question) for question in questions]
    both = [await searches.by_both(question) for question in questions]
    cells = [
        f"{recall(rankings, questions, 1)} / {recall(rankings, questions, 3)}"
        for rankings in (words, meaning, [ranking for ranking, _ in both])
    ]
    answers = [answer for _, answer in both]
    right = recall([[answer] for answer in answers], questions, 1)
    nothing = sum(not answer for answer in answers)
    misses = [
        f"{name}: {question.text} -> {answer or 'nothing'} instead of {question.passage}"
        for question, answer in zip(questions, answers, strict=True)
        if answer != question.passage
    ]
    share = f"{right / len(questions):.0%}"
    counts = (right, share, len(questions) - right - nothing, nothing)
    return f"| {name} | {len(questions)} | {' | '.join(cells)} | {' | '.join(map(str, counts))} |", misses


async def print_english(searches: Searches, recogniser: str) -> None:
    """Print the table of English questions, typed and spoken."""
    print_line(
        "| questions | n | BM25 @1 / @3 | e5 @1 / @3 | both @1 / @3 | answered right | share | wrong | nothing |"
    )
    print_line("|---|---|---|---|---|---|---|---|---|")
    missed: list[str] = []
    shipped, paraphrases = read_shipped(), read_paraphrases()
    groups = [("shipped, typed", shipped), ("paraphrases, typed", paraphrases)]
    errors = ""
    if recogniser in ENGINES:
        heard = await hear([*shipped, *paraphrases], recogniser)
        alone = [replace(question, alternatives=()) for question in heard]
        for title, questions in ((recogniser, heard), (f"{recogniser}, no alternatives", alone)):
            groups += [
                (f"shipped, spoken ({title})", questions[: len(shipped)]),
                (f"paraphrases, spoken ({title})", questions[len(shipped) :]),
            ]
        others = sum(bool(question.alternatives) for question in heard)
        errors = f"Word errors of {recogniser}: {describe_errors(paraphrases, heard[len(shipped) :])}. "
        errors += f"{others} of {len(heard)} finals have an alternative."
    for name, questions in groups:
        without = [question for question in questions if not question.title_words]
        for part, members in ((name, questions), (f"{name}, no title word", without)):
            if members:
                row, misses = await english_row(part, members, searches)
                print_line(row)
                missed += misses if members is questions else []
    print_line(f"\n{errors or f'Spoken questions: left out, there is no engine {recogniser} here.'}\n")
    print_line("\n".join(f"* {miss}" for miss in missed))


async def print_foreign(searches: Searches) -> None:
    """Print the table of questions in a language that has no passage for them."""
    print_line("\n| foreign questions | n | BM25 @1 | e5, all languages @1 / @3 | answered right | wrong | nothing |")
    print_line("|---|---|---|---|---|---|---|")
    questions = read_questions("foreign.toml", question="text", set="group")
    missed: list[str] = []
    for group in ("margin", "held-out"):
        members = [question for question in questions if question.group == group]
        words = [searches.by_words(question) for question in members]
        meaning = [await searches.by_meaning(question, everywhere=True) for question in members]
        answers = [(await searches.by_both(question))[1] for question in members]
        right = recall([[answer] for answer in answers], members, 1)
        nothing = sum(not answer for answer in answers)
        print_line(
            f"| {group} | {len(members)} | {recall(words, members, 1)} "
            f"| {recall(meaning, members, 1)} / {recall(meaning, members, 3)} "
            f"| {right} | {len(members) - right - nothing} | {nothing} |"
        )
        missed += [
            f"* {question.text} -> {answer or 'nothing'} instead of {question.passage}"
            for question, answer in zip(members, answers, strict=True)
            if answer != question.passage
        ]
    print_line("\n" + "\n".join(missed))


async def print_off_topic(searches: Searches) -> None:
    """Print the table of questions that no passage answers, and the answers that they got."""
    print_line("\n| off-topic questions | n | answered, BM25 alone | answered, both | of these en, de, es, fr |")
    print_line("|---|---|---|---|---|")
    questions = [
        question
        for name in ("off-topic.toml", "off-topic-clinc150.toml")
        for question in read_questions(name, question="text", set="group")
    ]
    answered: list[str] = []
    for group in dict.fromkeys(question.group for question in questions):
        members = [question for question in questions if question.group == group]
        alone = 0
        by_language = dict.fromkeys(("en", "de", "es", "fr"), 0)
        for question in members:
            matches = searches.index.search([question.text], question.language)
            alone += bool(matches) and matches[0].score >= MIN_SCORE
            if answer := (await searches.by_both(question))[1]:
                by_language[question.language] += 1
                answered.append(f"* {group}: {question.text} -> {answer}")
        counts = ", ".join(map(str, by_language.values()))
        print_line(f"| {group} | {len(members)} | {alone} | {sum(by_language.values())} | {counts} |")
    print_line("\n" + "\n".join(answered))


async def hear(questions: Sequence[Question], recogniser: str) -> list[Question]:
    """Replace each question's text by what the recogniser makes of its recording."""
    settings = SttSettings(
        models="default",
        models_dir=ROOT / "models",
        models_lock=ROOT / "models.lock",
        knowledge_dir=ROOT / "content" / "knowledge",
    )
    engine: Any = engine_class(ENGINES, recogniser)(settings)
    heard: list[Question] = []
    async with engine.lifespan():
        for question in questions:
            assert question.recording is not None  # only questions with one are heard
            samples, _ = soundfile.read(question.recording, dtype="int16")
            pcm = SILENCE + samples.tobytes() + SILENCE
            final = await transcribe_final(engine, pcm)
            alternatives = final.alternatives
            if isinstance(engine, WhisperEngine):
                # In a conversation it is given up when it is late; the evaluation waits.
                partial = await engine.transcribe_clip(pcm, "en", final=False)
                alternatives = (partial.text,) if normalise(partial.text) != normalise(final.text) else ()
            heard.append(replace(question, text=final.text, alternatives=alternatives))
    return heard


def describe_errors(asked: Sequence[Question], heard: Sequence[Question]) -> str:
    """Word errors of the transcripts, as a count and a share."""
    references = [reference_words(question.text) for question in asked]
    errors = sum(
        word_errors(reference, reference_words(question.text))
        for reference, question in zip(references, heard, strict=True)
    )
    words = sum(map(len, references))
    return f"{errors} in {words} words ({errors / words:.1%})"


def print_line(line: str) -> None:
    """Print to standard output."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def machine() -> str:
    """The processor and the number of cores."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text("utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"


def process_memory_mb(pid: int | None) -> str:
    """The proportional memory of a process, in MB."""
    rollup = Path(f"/proc/{pid}/smaps_rollup")
    if pid is None or not rollup.exists():
        return "unknown"
    pss = next(line for line in rollup.read_text("utf-8").splitlines() if line.startswith("Pss:"))
    return f"{int(pss.split()[1]) / 1024:.0f} MB"


async def evaluate(recogniser: str) -> None:
    """Print all tables."""
    knowledge = KnowledgeFolder(ROOT / "content" / "knowledge")
    knowledge.load()
    embedder = EmbeddingProcess()
    with tempfile.TemporaryDirectory() as folder:
        semantic = SemanticIndex(knowledge, embedder, VectorFile(Path(folder) / "vectors", PACKAGE), DEADLINE_S)
        started_s = time.perf_counter()
        async with semantic.running(), asyncio.timeout(BUILD_S) as build:
            while semantic.state is not SemanticState.READY:
                if semantic.failure:
                    sys.exit(semantic.failure)
                await asyncio.sleep(0.1)
            built_s = time.perf_counter() - started_s
            build.reschedule(None)
            searches = Searches(await knowledge.current_index(), semantic, Retriever(knowledge, semantic))
            print_line(f"{machine()}; {PACKAGE} {version(PACKAGE)}; `make eval-retrieval`\n")
            await print_english(searches, recogniser)
            await print_foreign(searches)
            await print_off_topic(searches)
            texts = semantic.describe()["texts"]
            print_line(f"\n{texts} vectors in {built_s:.0f} s; least evidence {MIN_EVIDENCE}, least score {MIN_SCORE}.")
            times_ms = [1000 * seconds for seconds in searches.seconds]
            fastest, middle, slowest = min(times_ms), statistics.median(times_ms), max(times_ms)
            print_line(f"One search: min {fastest:.1f}, median {middle:.1f}, max {slowest:.1f} ms.")
            print_line(f"Embedding process: {process_memory_mb(embedder.pid)} (PSS).")


def main() -> None:
    """Parse the command line and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recogniser", default="whisper", help="engine of the stt-service for the spoken questions")
    asyncio.run(evaluate(parser.parse_args().recogniser))


if __name__ == "__main__":
    main()
