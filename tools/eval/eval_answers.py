"""`make eval-answers`: whether answers contain the expected fact, and how long they take.

Asks the questions of tools/eval/data/answers.toml, as typed text, of the briefing and of the local language model,
which it starts. Prints the Markdown tables of docs/evaluation.md.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import re
import statistics
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from orchestrator.conversation.model.ports import LanguageModel, Persona, Prompt
from orchestrator.knowledge.embeddings.embedder import EmbeddingProcess
from orchestrator.knowledge.embeddings.semantic_index import SemanticIndex, SemanticState
from orchestrator.knowledge.embeddings.vector_file import VectorFile
from orchestrator.knowledge.embeddings.worker import PACKAGE
from orchestrator.knowledge.folder import KnowledgeFolder
from orchestrator.knowledge.personas import DEFAULT_PERSONA, load_personas
from orchestrator.knowledge.retriever import Retriever
from orchestrator.llm.briefing.engine import BriefingModel
from orchestrator.llm.local.answer_check import spelled_numbers
from orchestrator.llm.local.engine import MODEL, LocalModel
from orchestrator.llm.local.preparation import answers_from
from orchestrator.llm.local.settings import LocalLlmSettings
from prometheus_client import REGISTRY
from service_kit.errors import AnchorError

ROOT = Path(__file__).parents[2]
DATA = Path(__file__).parent / "data" / "answers.toml"
ENGINES = ("briefing", "local")
# Time for the server to load, the index to be built, and one passage to be prepared.
START_S = 120.0
PREPARE_S = 30.0
REFUSALS = re.compile(
    r"nothing on that|did not catch|notes do not say|cannot help|do(?:es)? not (?:know|say|mention)|no information",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Question:
    """A question with its expected facts, as answers.toml describes them."""

    kind: str
    text: str
    passage: str = ""
    facts: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()
    max_words: int = 0


@dataclass(frozen=True)
class Answer:
    """An answer; times in seconds from the question. `model_s`: the model's first token, None without a model.

    `cpu_s` is the CPU time of the model's process, which other jobs on the machine do not change; 0 without a model.
    """

    text: str
    opener_s: float
    model_s: float | None
    complete_s: float
    cpu_s: float = 0.0


def read_questions(path: Path = DATA) -> list[Question]:
    """Read the judged set."""
    entries = tomllib.loads(path.read_text("utf-8"))["question"]
    return [
        Question(**{key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()})
        for entry in entries
    ]


def judge(question: Question, answer: str) -> str:
    """Return `right`, `wrong` or `refused`."""
    text = " ".join(spelled_numbers(answer.replace("-", " ")).split())
    refused = bool(REFUSALS.search(text))

    def matches(patterns: Iterable[str]) -> bool:
        return any(re.search(pattern, text, re.IGNORECASE) for pattern in patterns)

    if question.kind == "off_topic":
        return "right" if refused else "wrong"
    if question.kind == "absent":
        return "right" if refused or not matches(question.wrong) else "wrong"
    if matches(question.wrong) or (question.max_words and len(text.split()) > question.max_words):
        return "wrong"
    if matches(question.facts):
        return "right"
    return "refused" if refused else "wrong"


async def ask(model: LanguageModel, question: Question, persona: Persona, server: int | None) -> Answer:
    """Ask one question, and measure; `server` is the process of the model."""
    before, cpu_before_s = first_token_total(), cpu_seconds(server)
    started_s = time.perf_counter()
    opener_s, text = 0.0, ""
    async for piece in model.reply(Prompt(text=question.text, language="en", persona=persona)):
        opener_s = opener_s or time.perf_counter() - started_s
        text += piece
    complete_s = time.perf_counter() - started_s
    after = first_token_total()
    model_s = after[0] - before[0] if after[1] > before[1] else None
    return Answer(text, opener_s, model_s, complete_s, cpu_seconds(server) - cpu_before_s)


def cpu_seconds(pid: int | None) -> float:
    """The CPU time that a process has used, user and system; 0 for None."""
    if pid is None:
        return 0.0
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def first_token_total() -> tuple[float, float]:
    """The sum and the number of the model's first-token times so far."""
    labels = {"engine": MODEL}
    name = "anchor_llm_first_token_seconds"
    return tuple(REGISTRY.get_sample_value(f"{name}_{part}", labels) or 0.0 for part in ("sum", "count"))  # type: ignore[return-value]


@asynccontextmanager
async def open_retriever(semantic: bool) -> AsyncGenerator[Retriever]:
    """The product's retrieval over content/knowledge, with search by meaning if wanted."""
    knowledge = KnowledgeFolder(ROOT / "content" / "knowledge")
    knowledge.load()
    async with AsyncExitStack() as stack:
        index = None
        if semantic:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            index = SemanticIndex(knowledge, EmbeddingProcess(), VectorFile(folder / "vectors", PACKAGE))
            await stack.enter_async_context(index.running())
            async with asyncio.timeout(START_S):
                while index.state is not SemanticState.READY:
                    if index.state is SemanticState.FAILED:
                        raise SystemExit(f"search by meaning does not start: {index.failure}")
                    await asyncio.sleep(0.05)
        yield Retriever(knowledge, index)


@asynccontextmanager
async def local_server(settings: LocalLlmSettings) -> AsyncGenerator[asyncio.subprocess.Process]:
    """Start the model's process, as the mesh does; stop it on exit."""
    environment = {**os.environ, "ANCHOR_LOG_FORMAT": "text", "LLM_LOCAL_CACHE_DIR": str(settings.cache_dir)}
    environment["LLM_HTTP_PORT"] = settings.url.rpartition(":")[2]
    command = (sys.executable, "-m", "llm_service")
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=environment, stdout=sys.stderr)
    try:
        yield process
    finally:
        process.terminate()
        await process.wait()


async def prepare(model: LocalModel, retriever: Retriever) -> tuple[float, int]:
    """Wait for the server and for all passages to be prepared; return the time of the latter and their number."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(START_S):
        while True:
            try:
                await model.probe()
                break
            except AnchorError as error:
                if re.search(r"models\.|llm\.not_", error.message):
                    raise SystemExit(error.message) from error
                await asyncio.sleep(0.2)
    started_s = loop.time()
    passages = [passage for passage in (await retriever.knowledge.current_index()).passages if answers_from(passage)]
    async with asyncio.timeout(PREPARE_S * len(passages)):
        while int(str(model.describe()["prepared_passages"])) < len(passages):
            await asyncio.sleep(0.1)
    return loop.time() - started_s, len(passages)


def pss_mb(pid: int) -> int:
    """The proportional set size of a process in MB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) // 1000 for line in lines if line.startswith("Pss:"))


def print_summary(engine: str, questions: Sequence[Question], answers: Sequence[Answer]) -> None:
    """Print the counts by kind of question, and the times."""
    verdicts = [judge(question, answer.text) for question, answer in zip(questions, answers, strict=True)]
    print_line(f"\n| {engine}: questions | n | right | wrong | refused |\n|---|---|---|---|---|")
    for kind in dict.fromkeys(question.kind for question in questions):
        of_kind = Counter(v for q, v in zip(questions, verdicts, strict=True) if q.kind == kind)
        counts = (of_kind.total(), of_kind["right"], of_kind["wrong"], of_kind["refused"])
        print_line(f"| {kind} | {' | '.join(map(str, counts))} |")
    facts = [a for q, a in zip(questions, answers, strict=True) if q.kind == "fact"]
    words = statistics.median(len(answer.text.split()) for answer in facts)
    print_line(f"\nOf the questions about facts: median length {words:.0f} words; " + "; ".join(describe_times(facts)))


def describe_times(answers: Sequence[Answer]) -> list[str]:
    """The median and 95th percentile of each time."""
    series = {
        "first words": [answer.opener_s for answer in answers],
        "first token of the model": [answer.model_s for answer in answers if answer.model_s is not None],
        "complete": [answer.complete_s for answer in answers],
        "CPU time of the model": [answer.cpu_s for answer in answers if answer.model_s is not None],
    }
    return [
        f"{name} {min(values):.2f} / {statistics.median(values):.2f} / {percentile(values, 0.95):.2f} s"
        for name, values in series.items()
        if values
    ]


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of `values` lie."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def print_answers(questions: Sequence[Question], results: dict[str, Sequence[Answer]]) -> None:
    """Print each question with its verdicts; the local model's answers in full."""
    print_line("\n| question | kind | " + " | ".join(results) + " | first token s | complete s | answer of the last |")
    print_line("|---" * (len(results) + 5) + "|")
    for number, question in enumerate(questions):
        own = [answers[number] for answers in results.values()]
        last = own[-1]
        text = last.text if len(last.text) <= 160 else f"{last.text[:160]} ..."
        token = f"{last.model_s:.2f}" if last.model_s is not None else "-"
        verdicts = " | ".join(judge(question, answer.text) for answer in own)
        print_line(f"| {question.text} | {question.kind} | {verdicts} | {token} | {last.complete_s:.2f} | {text} |")


def print_line(text: str) -> None:
    """Print at once, so that a long run shows its progress."""
    print(text, flush=True)  # noqa: T201


async def main(arguments: argparse.Namespace) -> None:
    """Ask every engine every question."""
    questions = read_questions()
    persona = load_personas(ROOT / "content" / "personas")[DEFAULT_PERSONA]
    results: dict[str, Sequence[Answer]] = {}
    print_line(f'`make eval-answers ANSWERS="{" ".join(sys.argv[1:])}"` on {describe_machine()}')
    async with AsyncExitStack() as stack:
        retriever = await stack.enter_async_context(open_retriever(not arguments.words_only))
        briefing = BriefingModel(retriever)
        for engine in arguments.engines:
            model: LanguageModel = briefing
            pid = None
            if engine == "local":
                cache = arguments.cache or Path(stack.enter_context(tempfile.TemporaryDirectory()))
                settings = LocalLlmSettings(
                    url=f"http://127.0.0.1:{arguments.port}", cache_dir=cache, prepare_after_s=0.2
                )
                server = await stack.enter_async_context(local_server(settings))
                model = local = await stack.enter_async_context(LocalModel(settings, retriever, briefing))
                pid = server.pid
                seconds, count = await prepare(local, retriever)
                print_line(f"{count} passages prepared in {seconds:.0f} s; PSS {pss_mb(server.pid)} MB.")
            results[engine] = [await ask(model, question, persona, pid) for question in questions]
            print_summary(engine, questions, results[engine])
    print_answers(questions, results)


def describe_machine() -> str:
    """The processor and the number of cores."""
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
    load = os.getloadavg()[0]
    return f"{len(os.sched_getaffinity(0))} cores of {name}, Python {platform.python_version()}, load {load:.1f}"


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--words-only", action="store_true", help="retrieval by BM25 alone")
    parser.add_argument("--cache", type=Path, help="folder of the prepared passages; default: a temporary one")
    parser.add_argument("--port", type=int, default=8006)
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(main(parse_arguments()))
