"""The format of a file in the knowledge folder, which holds one passage.

    ---
    title: the ferry
    keywords: boat, ship, timetable
    questions:
    - When does the next ferry leave?
    kind: news
    language: en
    ---
    The summer timetable of the ferry has begun. ...

`title` and the text are required. The text is spoken verbatim, so Markdown is rejected.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from service_kit.errors import InvalidRequest

MAX_PASSAGE_BYTES = 64 * 1024
FRONT_MATTER_KEYS = frozenset({"title", "keywords", "questions", "kind", "language"})

_FENCE = "---"
_MARKDOWN = re.compile(r"\s*(#{1,6} |[-*+] |\d+\. |>|\||```|!\[)")
_LANGUAGE = re.compile(r"[a-z]{2}")
# A full stop, question or exclamation mark, danda or ellipsis, with closing quotation marks, before a blank.
_SENTENCE_END = re.compile(r"(?<=[.!?।…])[\"'”’»)]*\s+")


class PassageKind(StrEnum):
    """The kind of a passage, which selects the phrase that announces it."""

    NEWS = "news"
    GUIDE = "guide"
    # About the anchor itself; spoken without an announcement.
    ABOUT = "about"
    # Any other passage.
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Passage:
    """One topic to speak about. `id` is the file's path in the folder without `.md`; `language` is ISO 639-1."""

    id: str
    title: str
    sentences: tuple[str, ...]
    keywords: tuple[str, ...] = ()
    questions: tuple[str, ...] = ()
    kind: PassageKind = PassageKind.NOTE
    language: str = "en"


def read_passage(path: Path, passage_id: str) -> Passage:
    """Read the passage in the file at `path`.

    Raises `InvalidRequest` with file and line when the passage is invalid, `OSError` when the file cannot be read.
    """
    with path.open("rb") as file:
        content = file.read(MAX_PASSAGE_BYTES + 1)
    if len(content) > MAX_PASSAGE_BYTES:
        raise _invalid(passage_id, 1, f"the file is larger than {MAX_PASSAGE_BYTES // 1024} kB")
    try:
        return parse_passage(passage_id, content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _invalid(passage_id, line, "the text is not UTF-8") from error


def parse_passage(passage_id: str, text: str) -> Passage:
    """Parse the text of a passage file. Raises `InvalidRequest` with file and line."""
    lines = text.splitlines()
    if not lines or lines[0].rstrip() != _FENCE:
        raise _invalid(passage_id, 1, f"the file must begin with a line {_FENCE!r}")
    end = next((number for number, line in enumerate(lines[1:], 1) if line.rstrip() == _FENCE), None)
    if end is None:
        raise _invalid(passage_id, len(lines), f"the front matter must end with a line {_FENCE!r}")
    values = dict(_front_matter(passage_id, lines[1:end]))
    return Passage(
        id=passage_id,
        title=_title(passage_id, values),
        sentences=_sentences(passage_id, lines, end + 1),
        keywords=tuple(word for entry in values.get("keywords", ()) for word in _split(entry)),
        questions=tuple(values.get("questions", ())),
        kind=_kind(passage_id, values),
        language=_language(passage_id, values),
    )


def split_sentences(text: str) -> tuple[str, ...]:
    """Split prose into sentences, without surrounding blanks."""
    starts = [0, *(match.end() for match in _SENTENCE_END.finditer(text)), len(text)]
    pieces = (text[start:end].strip() for start, end in itertools.pairwise(starts))
    return tuple(piece for piece in pieces if piece)


def _front_matter(passage_id: str, lines: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield each key with its entries: the value after the colon, or the lines below it that begin with a hyphen."""
    seen: set[str] = set()
    entries: list[str] | None = None
    for number, line in enumerate(lines, 2):
        if not line.strip():
            continue
        if line.lstrip().startswith("- "):
            if entries is None:
                raise _invalid(passage_id, number, "a list entry must follow a key such as 'questions:'")
            entries.append(line.lstrip()[2:].strip())
            continue
        key, colon, value = line.partition(":")
        if not colon or key not in FRONT_MATTER_KEYS:
            raise _invalid(
                passage_id, number, f"expected one of {', '.join(f'{key}:' for key in sorted(FRONT_MATTER_KEYS))}"
            )
        if key in seen:
            raise _invalid(passage_id, number, f"{key!r} occurs twice")
        seen.add(key)
        entries = [value.strip()] if value.strip() else []
        yield key, entries


def _sentences(passage_id: str, lines: list[str], start: int) -> tuple[str, ...]:
    for number, line in enumerate(lines[start:], start + 1):
        if mark := _MARKDOWN.match(line):
            raise _invalid(
                passage_id,
                number,
                f"the text is spoken verbatim and cannot contain Markdown such as {mark[1].strip()!r}",
            )
    sentences = split_sentences(" ".join(" ".join(lines[start:]).split()))
    if not sentences:
        raise _invalid(passage_id, len(lines), "the text below the front matter is missing")
    return sentences


def _title(passage_id: str, values: dict[str, list[str]]) -> str:
    title = " ".join(values.get("title", ()))
    if not title:
        raise _invalid(passage_id, 1, "'title:' is missing")
    return title


def _kind(passage_id: str, values: dict[str, list[str]]) -> PassageKind:
    kind = " ".join(values.get("kind", (PassageKind.NOTE,)))
    if kind not in set(PassageKind):
        raise _invalid(passage_id, 1, f"kind {kind[:40]!r} is not one of {', '.join(PassageKind)}")
    return PassageKind(kind)


def _language(passage_id: str, values: dict[str, list[str]]) -> str:
    language = " ".join(values.get("language", ("en",)))
    if not _LANGUAGE.fullmatch(language):
        raise _invalid(passage_id, 1, f"language {language[:40]!r} is not two lowercase letters, such as 'en'")
    return language


def _split(entry: str) -> list[str]:
    return [word for word in (part.strip() for part in entry.split(",")) if word]


def _invalid(passage_id: str, line: int, problem: str) -> InvalidRequest:
    return InvalidRequest("knowledge.invalid", f"{passage_id}.md, line {line}: {problem}")
