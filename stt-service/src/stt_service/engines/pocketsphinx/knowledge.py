"""Reads the knowledge folder's files into training sentences for the language model.

The files are Markdown with front matter between `---` lines: `title:`, `keywords: a, b` and `questions:` with a list.
A file without front matter is plain text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from stt_service.engines.pocketsphinx.language_model import END, START

TOPIC = "{topic}"

_HEAD = re.compile(r"\A\s*---\s*\n(.*?)\n---\s*(?:\n|\Z)", re.DOTALL)
_FIELD = re.compile(r"^(\w[\w-]*)\s*:\s*(.*)$")
_FENCE = re.compile(r"^(```|~~~).*?^\1\s*$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_ADDRESS = re.compile(r"\b\w+://\S+|<[^>\n]*>")
_BLOCK = re.compile(r"\n\s*\n|\n(?=\s*(?:[-*+#>|]|\d+[.)]\s))")
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+|[;:]\s+|\s[–—-]\s|[()\[\]|]")
_WORD = re.compile(r"[^\W_]+(?:['.-][^\W_]+)*")


@dataclass(frozen=True, slots=True)
class Passage:
    """One file of the knowledge folder; `language` is ISO 639-1, English by default."""

    language: str
    title: str
    keywords: tuple[str, ...]
    questions: tuple[str, ...]
    text: str


def read_passages(folder: Path, language: str) -> list[Passage]:
    """Return the passages in `language` under `folder`, sorted by path; none when the folder does not exist."""
    passages = (parse_passage(path.read_text("utf-8", errors="replace")) for path in sorted(folder.rglob("*.md")))
    return [passage for passage in passages if passage.language.partition("-")[0] == language]


def parse_passage(markdown: str) -> Passage:
    """Split a file into the fields of its front matter and its text."""
    markdown = markdown.replace("\r\n", "\n")
    head = _HEAD.match(markdown)
    fields: dict[str, list[str]] = {}
    items: list[str] = []
    for line in head.group(1).split("\n") if head else ():
        if field := _FIELD.match(line):
            items = fields.setdefault(field.group(1).lower(), [])
            items.append(field.group(2))
        else:
            items.append(line.strip().removeprefix("-"))
    return Passage(
        language=" ".join(_values(fields.get("language", []), split=False)).lower() or "en",
        title=" ".join(_values(fields.get("title", []), split=False)),
        keywords=tuple(_values(fields.get("keywords", []), split=True)),
        questions=tuple(_values(fields.get("questions", []), split=False)),
        text=markdown[head.end() :] if head else markdown,
    )


def _values(items: Iterable[str], split: bool) -> list[str]:
    parts = (part for item in items for part in (re.split(r"[,;]", item) if split else re.split(r"(?<=\?)\s*,", item)))
    return [value for part in parts if (value := part.strip(" \t\"'[]"))]


def training_sentences(passages: Iterable[Passage]) -> Iterator[str]:
    """Yield training sentences: the passages' text, and questions about their topics; a sentence may come twice."""
    templates = phrase_templates()
    yield from (phrase for phrase in templates if TOPIC not in phrase)
    for passage in passages:
        yield from passage.questions
        for topic in dict.fromkeys(filter(None, (passage.title, *passage.keywords))):
            yield from (phrase.replace(TOPIC, topic) for phrase in templates if TOPIC in phrase)
        yield from _plain_sentences(passage.text)


def phrase_templates() -> list[str]:
    """Return the general phrases of phrases.txt; `{topic}` marks the place of a topic."""
    lines = (files(__package__ or "") / "phrases.txt").read_text("utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def _plain_sentences(markdown: str) -> Iterator[str]:
    text = _ADDRESS.sub(" ", _LINK.sub(r"\1", _FENCE.sub("\n\n", markdown)))
    for block in _BLOCK.split(text):
        yield from filter(None, (part.strip() for part in _SENTENCE_END.split(" ".join(block.split()))))


def dictionary_words(sentence: str) -> list[str]:
    """Return the sentence's words in the dictionary's spelling: lower case, no accents, no punctuation."""
    plain = unicodedata.normalize("NFKD", sentence.replace("\u2019", "'"))
    plain = "".join(char for char in plain if not unicodedata.combining(char))
    return _WORD.findall(plain.lower())


def pronounceable_runs(sentence: str, is_known: Callable[[str], bool], unknown: set[str]) -> Iterator[list[str]]:
    """Yield the runs of `sentence` that the dictionary can pronounce, the first from `<s>` and the last to `</s>`.

    A hyphenated word that the dictionary lacks is split at its hyphens. Any other word that it lacks is added to
    `unknown` and splits the sentence, so that the model counts no word sequence that did not occur.
    """
    run = [START]
    for word in dictionary_words(sentence):
        for part in [word] if is_known(word) else word.split("-"):
            if is_known(part):
                run.append(part)
            else:
                unknown.add(part)
                if run and run != [START]:
                    yield run
                run = []
    if run and run != [START]:
        yield [*run, END]
