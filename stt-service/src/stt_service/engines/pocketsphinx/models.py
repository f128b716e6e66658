"""The files that the decoders load: built of the knowledge folder and PocketSphinx's own models, kept by content."""

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

from stt_service.engines.pocketsphinx.knowledge import read_passages, runs, sentences
from stt_service.engines.pocketsphinx.language_model import LanguageModel

log = logging.getLogger(__name__)

# Raise it when what is built of the same content changes.
BUILD = 2
# How many common words the topical decoder knows beside the knowledge folder's own, and how many the general one.
TOPICAL_COMMON_WORDS = 4_000
GENERAL_WORDS = 20_000
# Words that the recognisers make of laughter and noise, and that nobody wants to see on air for it.
NEVER_HEARD = frozenset(
    {"fuck", "fucked", "fucker", "fucking", "shit", "shitty", "bullshit", "cunt", "nigger", "nigga"}
)
# Older builds are removed.
KEPT_BUILDS = 5


@dataclass(frozen=True, slots=True)
class DecoderModel:
    """What one kind of decoder loads; None stands for PocketSphinx's own language model."""

    language_model: Path | None
    dictionary: Path


@dataclass(frozen=True, slots=True)
class Models:
    """What both kinds of decoder load."""

    topical: DecoderModel
    general: DecoderModel


def prepare(knowledge: Path, kept: Path) -> Models:
    """The models for the folder `knowledge`, from `kept` where they were built before. Blocking: up to seconds."""
    passages = read_passages(knowledge, "en")
    if not passages:
        log.warning("knowledge folder has no passages", extra={"folder": str(knowledge)})
    common = _kept(kept, "common", [version("pocketsphinx")], _build_common)
    texts = list(sentences(passages))
    topical = _kept(
        kept, "topical", [version("pocketsphinx"), *texts], lambda folder: _build_topical(folder, texts, common)
    )
    return Models(
        topical=DecoderModel(topical / "topical.lm", topical / "topical.dict"),
        general=DecoderModel(None, common / "general.dict"),
    )


def _kept(kept: Path, kind: str, content: Iterable[str], build: Callable[[Path], None]) -> Path:
    digest = hashlib.sha256(json.dumps([BUILD, *content]).encode()).hexdigest()[:16]
    folder = (kept / f"{kind}-{digest}").absolute()
    if folder.is_dir():
        os.utime(folder)
        return folder
    started_s = time.monotonic()
    kept.mkdir(parents=True, exist_ok=True)
    # Built aside and moved into place whole, so that no other process ever sees half of it.
    unfinished = Path(tempfile.mkdtemp(prefix=f"{kind}-unfinished-", dir=kept))
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
    builds = sorted(kept.glob(f"{kind}-" + "?" * 16), key=lambda path: path.stat().st_mtime, reverse=True)
    for old in builds[KEPT_BUILDS:]:
        shutil.rmtree(old, ignore_errors=True)
    return folder


def _build_common(folder: Path) -> None:
    """Write the general decoder's dictionary, and the probabilities of the commonest words of its language model."""
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
    model = LanguageModel(
        (run for text in texts for run in runs(text, entries.__contains__, unknown)),
        json.loads((common / "common.json").read_text("utf-8")),
    )
    (folder / "topical.lm").write_text("\n".join(model.arpa()) + "\n")
    _write_dictionary(folder / "topical.dict", filter(entries.__contains__, model.vocabulary), entries)
    if unknown:
        log.warning("words without a pronunciation were left out", extra={"words": sorted(unknown)})


def _dictionary() -> dict[str, list[str]]:
    """PocketSphinx's dictionary: of each word, its lines, one for each way to say it."""
    from pocketsphinx import get_model_path

    entries: dict[str, list[str]] = {}
    for line in Path(get_model_path("en-us/cmudict-en-us.dict")).read_text("utf-8").splitlines():
        if line:
            entries.setdefault(line.split(maxsplit=1)[0].partition("(")[0], []).append(line)
    return {word: lines for word, lines in entries.items() if word not in NEVER_HEARD}


def _write_dictionary(path: Path, vocabulary: Iterable[str], entries: dict[str, list[str]]) -> None:
    path.write_text("\n".join(line for word in vocabulary for line in entries[word]) + "\n", "utf-8")
