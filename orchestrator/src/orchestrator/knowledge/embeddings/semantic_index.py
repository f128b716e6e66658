"""Similarity of questions to passages by meaning: keeps a vector for each text of the knowledge folder.

Vectors are computed in the background and kept in a file. Until nine tenths of them are there,
and whenever the embedding process is not, `similarities` is empty and words alone decide.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import OrderedDict
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from enum import StrEnum
from importlib.resources import files

from service_kit.errors import AnchorError
from service_kit.tasks import background

from orchestrator.knowledge.embeddings.embedder import Embedder
from orchestrator.knowledge.embeddings.frames import MAX_TEXT_CHARS, Vector
from orchestrator.knowledge.embeddings.vector_file import VectorFile, VectorsDamaged
from orchestrator.knowledge.folder import KnowledgeFolder
from orchestrator.knowledge.passages import Passage
from orchestrator.knowledge.retriever import Similarities

# Small talk, commands and questions of general knowledge, about one for each kind of request that voice assistants get.
# A question that is no nearer to a passage than to one of these is probably not about the passage: the background model
# of speaker verification. They are in English, since the embeddings compare languages.
BACKGROUND_QUESTIONS = tuple(
    files("orchestrator.knowledge.embeddings").joinpath("background_questions.txt").read_text("utf-8").splitlines()
)
# Deadline for a question's vector, which takes 12 to 20 ms on a quiet core.
DEADLINE_S = 0.15
# Share of the texts that need a vector before vectors are used: the margin compares a passage with all others.
_ENOUGH = 0.9
# How often the folder is looked at for changed files.
_WATCH_S = 2.0
# Pause after a text that could not be embedded, attempts at it, and least time between log lines of the progress.
_RETRY_S = 1.0
_ATTEMPTS = 3
_PROGRESS_S = 5.0
# Pause after each text, which takes about 40 ms, for the services that start at the same time.
_PAUSE_S = 0.02
_CACHED_QUESTIONS = 64

log = logging.getLogger(__name__)


class SemanticState(StrEnum):
    """What the semantic index is doing."""

    STARTING = "starting"
    BUILDING = "building"
    READY = "ready"
    FAILED = "failed"


class SemanticIndex:
    """Implements `SemanticScores` with an embedder and a vector file. `running` keeps both at work."""

    def __init__(
        self,
        knowledge: KnowledgeFolder,
        embedder: Embedder,
        vectors: VectorFile,
        deadline_s: float = DEADLINE_S,
        background_questions: Sequence[str] = BACKGROUND_QUESTIONS,
    ) -> None:
        self._knowledge = knowledge
        self._embedder = embedder
        self._vectors = vectors
        self._deadline_s = deadline_s
        self._questions: OrderedDict[str, Vector] = OrderedDict()
        self._asking = 0
        # Set while no question waits for its vector: questions go before texts.
        self._quiet = asyncio.Event()
        self._quiet.set()
        # The texts of the passages that the builder saw last, by key, and each passage's keys.
        self._passages: Sequence[Passage] | None = None
        self._texts: dict[bytes, str] = {}
        self._keys: dict[Passage, tuple[bytes, ...]] = {}
        # Embedded before the passages, so that they are there when most texts are.
        self._background = {_key(text): text for text in background_questions}
        self.failure = ""
        self.late = 0

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Keep the embedder and the builder at work inside the context; a failing embedder ends only its own work."""
        async with background(self._run(), "semantic index"):
            yield

    @property
    def state(self) -> SemanticState:
        """What it is doing now."""
        if self.failure:
            return SemanticState.FAILED
        if self._passages is None or not self._embedder.ready:
            return SemanticState.STARTING
        return SemanticState.READY if not self._missing() else SemanticState.BUILDING

    def describe(self) -> Mapping[str, object]:
        """Return the state for `/health`: `vectors` of the `texts` are there, `late` questions missed the deadline."""
        built = len(self._texts) - len(self._missing())
        return {"state": self.state.value, "vectors": built, "texts": len(self._texts), "late": self.late}

    async def similarities(self, question: str, passages: Sequence[Passage]) -> Similarities:
        """Return the cosine of `question` and each passage's nearest text, and the background; empty when late."""
        if self.failure or not self._texts or len(self._missing()) > (1 - _ENOUGH) * len(self._texts):
            return Similarities()
        try:
            async with asyncio.timeout(self._deadline_s):
                vector = await self._question_vector(question)
        except TimeoutError:
            self.late += 1
            log.info("embedding a question took too long", extra={"deadline_s": self._deadline_s})
            return Similarities()
        except AnchorError as error:
            log.info("embedding a question failed", extra={"code": error.code, "reason": error.message})
            return Similarities()
        return self._similarities(vector, passages)

    def _similarities(self, vector: Vector, passages: Sequence[Passage]) -> Similarities:
        background = [key for key in self._background if key in self._vectors]
        if not background:
            return Similarities()
        owners: list[str] = []
        keys: list[bytes] = []
        for passage in passages:
            known = [key for key in self._keys.get(passage, ()) if key in self._vectors]
            keys += known
            owners += [passage.id] * len(known)
        best: dict[str, float] = {}
        for owner, similarity in zip(owners, self._vectors.similarities(vector, keys).tolist(), strict=True):
            best[owner] = max(similarity, best.get(owner, -1.0))
        return Similarities(best, max(self._vectors.similarities(vector, background).tolist()))

    async def _question_vector(self, question: str) -> Vector:
        question = question[:MAX_TEXT_CHARS]
        if question in self._questions:
            self._questions.move_to_end(question)
            return self._questions[question]
        self._asking += 1
        self._quiet.clear()
        try:
            vector = await self._embedder.embed(question, is_question=True)
        finally:
            self._asking -= 1
            if not self._asking:
                self._quiet.set()
        self._questions[question] = vector
        if len(self._questions) > _CACHED_QUESTIONS:
            self._questions.popitem(last=False)
        return vector

    # The builder ---------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        await self._load()
        try:
            async with background(self._build(), "vector builder"):
                await self._embedder.run()
        except AnchorError as error:
            self.failure = error.message
            log.warning("semantic search is off, words alone find passages", extra={"reason": error.message})

    async def _load(self) -> None:
        try:
            await asyncio.to_thread(self._vectors.load)
        except (OSError, VectorsDamaged) as error:
            log.warning("reading the vectors failed, they are computed again", extra={"reason": str(error)})

    async def _build(self) -> None:
        """Compute missing vectors whenever the folder changes."""
        while True:
            index = await self._knowledge.current_index()
            if index.passages is not self._passages:
                self._adopt(index.passages)
                if missing := self._missing():
                    await self._embed_all(missing)
                    self._vectors.retain(self._texts)
                    await self._save()
            await asyncio.sleep(_WATCH_S)

    def _adopt(self, passages: Sequence[Passage]) -> None:
        self._keys = {passage: tuple(_key(text) for text in _texts(passage)) for passage in passages}
        self._texts = self._background | {_key(text): text for passage in passages for text in _texts(passage)}
        self._passages = passages

    def _missing(self) -> list[bytes]:
        return [key for key in self._texts if key not in self._vectors]

    async def _embed_all(self, keys: Sequence[bytes]) -> None:
        loop = asyncio.get_running_loop()
        started_s = logged_s = loop.time()
        log.info("computing vectors of the knowledge", extra={"texts": len(keys)})
        for done, key in enumerate(keys):
            await self._quiet.wait()
            await self._embed(key)
            if loop.time() - logged_s > _PROGRESS_S:
                logged_s = loop.time()
                log.info("computing vectors of the knowledge", extra={"done": done + 1, "texts": len(keys)})
            await asyncio.sleep(_PAUSE_S)
        seconds = round(loop.time() - started_s, 1)
        log.info("vectors of the knowledge are ready", extra={"texts": len(keys), "seconds": seconds})

    async def _embed(self, key: bytes) -> None:
        """Compute one vector; try again after the embedder was replaced, and then leave the text without one."""
        for _ in range(_ATTEMPTS):
            try:
                await self._embedder.wait_ready()
                self._vectors.add(key, await self._embedder.embed(self._texts[key], is_question=False))
            except AnchorError as error:
                log.info("embedding a text failed", extra={"code": error.code, "reason": error.message})
                await asyncio.sleep(_RETRY_S)
            else:
                return

    async def _save(self) -> None:
        try:
            await asyncio.to_thread(self._vectors.write, self._vectors.snapshot())
        except OSError as error:
            log.warning("saving the vectors failed, the next start computes them", extra={"reason": str(error)})


def _texts(passage: Passage) -> tuple[str, ...]:
    """Return the texts of a passage that are embedded: title and text together, and each question."""
    return f"{passage.title}. {' '.join(passage.sentences)}"[:MAX_TEXT_CHARS], *passage.questions


def _key(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()[:16]
