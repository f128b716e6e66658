"""Builds the decoders' model files from the knowledge folder and PocketSphinx's models; caches them by content."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from stt_service.engines.pocketsphinx.knowledge import pronounceable_runs, read_passages, training_sentences
from stt_service.engines.pocketsphinx.language_model import TrigramModel

log = logging.getLogger(__name__)

# Increase it when the same content builds different files.
BUILD_VERSION = 2
# Common words in the topical decoder's vocabulary, besides those of the knowledge folder, and in the general decoder's.
TOPICAL_COMMON_WORDS = 4_000
GENERAL_WORDS = 20_000
# Words that the decoders produce for laughter and noise, and that must not appear on air.
EXCLUDED_WORDS = frozenset(
    {"fuck", "fucked", "fucker", "fucking", "shit", "shitty", "bullshit", "cunt", "nigger", "nigga"}
)
# Older builds of a kind are removed.
MAX_CACHED_BUILDS = 5


@dataclass(frozen=True, slots=True)
class DecoderModel:
    """The files of one kind of decoder; None stands for PocketSphinx's default language model."""

    language_model: Path | None
    dictionary: Path


@dataclass(frozen=True, slots=True)
class DecoderModels:
    """The files of both kinds of decoder."""

    topical: DecoderModel
    general: DecoderModel


def build_models(knowledge_dir: Path, cache_dir: Path) -> DecoderModels:
    """Return the models for `knowledge_dir`, from `cache_dir` if they were built before. Blocks for up to seconds."""
    passages = read_passages(knowledge_dir, "en")
    if not passages:
        log.warning("knowledge folder has no passages", extra={"folder": str(knowledge_dir)})
    common = _cached(cache_dir, "common", [version("pocketsphinx")], _build_common)
    texts = list(training_sentences(passages))
    topical = _cached(
        cache_dir, "topical", [version("pocketsphinx"), *texts], lambda folder: _build_topical(folder, texts, common)
    )
    return DecoderModels(
        topical=DecoderModel(topical / "topical.lm", topical / "topical.dict"),
        general=DecoderModel(None, common / "general.dict"),
    )


def _cached(cache_dir: Path, kind: str, content: Iterable[str], build: Callable[[Path], None]) -> Path:
    digest = hashlib.sha256(json.dumps([BUILD_VERSION, *content]).encode()).hexdigest()[:16]
    folder = (cache_dir / f"{kind}-{digest}").absolute()
    if folder.is_dir():
        os.utime(folder)
        return folder
    started_s = time.monotonic()
    cache_dir.mkdir(parents=True, exist_ok=True)
    # Built in a temporary folder and then renamed, so that no other process sees an incomplete build.
    unfinished = Path(tempfile.mkdtemp(prefix=f"{kind}-unfinished-", dir=cache_dir))
    try:
        build(unfinished)
        unfinished.chmod(0o755)
        try:
            unfinished.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    log.info("models built", extra={"kind": kind, "seconds": round(time.monotonic() - started_s, 2)})
    builds = sorted(cache_dir.glob(f"{kind}-" + "?" * 16), key=lambda path: path.stat().st_mtime, reverse=True)
    for old in builds[MAX_CACHED_BUILDS:]:
        shutil.rmtree(old, ignore_errors=True)
    return folder


def _build_common(folder: Path) -> None:
    """Write the general decoder's dictionary, and the probabilities of its language model's most common words."""
    from pocketsphinx import Config, LogMath, NGramModel, get_model_path

    logmath = LogMath()
    model = NGramModel(Config(loglevel="FATAL"), logmath, get_model_path("en-us/en-us.lm.bin"))
    entries = _dictionary()
    scores = {word: int(model.prob([word])) for word in entries}
    impossible = logmath.get_zero()
    ranked = sorted((word for word in entries if scores[word] > impossible), key=lambda word: (-scores[word], word))
    _write_dictionary(folder / "general.dict", ranked[:GENERAL_WORDS], entries)
    chances = {word: logmath.exp(scores[word]) for word in ranked[:TOPICAL_COMMON_WORDS]}
    total = sum(chances.values())
    (folder / "common.json").write_text(json.dumps({word: chance / total for word, chance in chances.items()}))


def _build_topical(folder: Path, texts: Iterable[str], common: Path) -> None:
    entries = _dictionary()
    unknown: set[str] = set()
    model = TrigramModel(
        (run for text in texts for run in pronounceable_runs(text, entries.__contains__, unknown)),
        json.loads((common / "common.json").read_text("utf-8")),
    )
    (folder / "topical.lm").write_text("\n".join(model.arpa_lines()) + "\n")
    _write_dictionary(folder / "topical.dict", filter(entries.__contains__, model.vocabulary), entries)
    if unknown:
        log.info("words without a pronunciation left out", extra={"words": sorted(unknown)})


def _dictionary() -> dict[str, list[str]]:
    """Return PocketSphinx's dictionary: for each word its lines, one per pronunciation."""
    from pocketsphinx import get_model_path

    entries: dict[str, list[str]] = {}
    for line in Path(get_model_path("en-us/cmudict-en-us.dict")).read_text("utf-8").splitlines():
        if line:
            entries.setdefault(line.split(maxsplit=1)[0].partition("(")[0], []).append(line)
    return {word: lines for word, lines in entries.items() if word not in EXCLUDED_WORDS}


def _write_dictionary(path: Path, vocabulary: Iterable[str], entries: dict[str, list[str]]) -> None:
    path.write_text("\n".join(line for word in vocabulary for line in entries[word]) + "\n", "utf-8")
