"""Reading the knowledge folder and building models from it."""

from __future__ import annotations

from pathlib import Path

import pytest
from stt_service.engines.pocketsphinx.knowledge import (
    dictionary_words,
    parse_passage,
    pronounceable_runs,
    read_passages,
    training_sentences,
)
from stt_service.engines.pocketsphinx.models import build_models

FULL = """---
title: the harbor ferry
keywords: [boat, "crossing"]
questions:
  - When does it leave?
  - "Why is it late?"
---
# The crossing

The ferry — a new one — leaves at nine. See [the
timetable](https://example.org/t) today!

- Dogs travel free
```
not = speech
```
"""


def test_front_matter_and_text_are_read() -> None:
    passage = parse_passage(FULL)
    assert passage.title == "the harbor ferry"
    assert passage.keywords == ("boat", "crossing")
    assert passage.questions == ("When does it leave?", "Why is it late?")
    trained = list(training_sentences([passage]))
    assert {"a new one", "leaves at nine.", "See the timetable today!", "- Dogs travel free"} <= set(trained)
    assert {"what is the latest on the harbor ferry", "tell me about boat", "When does it leave?", "hello"} <= set(
        trained
    )
    assert not any("speech" in sentence or "example" in sentence for sentence in trained)


@pytest.mark.parametrize("text", ["Just a line.", "---\ntitle: never closed\nJust a line.", ""])
def test_a_file_without_front_matter_is_text(text: str) -> None:
    passage = parse_passage(text)
    assert (passage.title, passage.keywords, passage.language) == ("", (), "en")
    assert passage.text == text


def test_only_passages_in_the_language_are_read(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.md").write_text("---\nlanguage: de\n---\nGuten Tag.")
    (tmp_path / "b.md").write_text("---\nlanguage: en-GB\n---\nGood day.")
    (tmp_path / "c.txt").write_text("Not knowledge.")
    assert [passage.text for passage in read_passages(tmp_path, "en")] == ["Good day."]
    assert read_passages(tmp_path / "absent", "en") == []


def test_words_get_the_dictionarys_spelling() -> None:
    assert dictionary_words("The Café’s “well-known” 2nd door…") == ["the", "cafe's", "well-known", "2nd", "door"]


def test_a_word_without_pronunciation_splits_the_sentence() -> None:
    known = {"the", "ferry", "well", "known", "leaves"}
    unknown: set[str] = set()
    cut = list(pronounceable_runs("The well-known ferry Xyzzy leaves", known.__contains__, unknown))
    assert cut == [["<s>", "the", "well", "known", "ferry"], ["leaves", "</s>"]]
    assert unknown == {"xyzzy"}
    assert list(pronounceable_runs("Xyzzy", known.__contains__, unknown)) == []


def test_models_are_built_once_per_content(tmp_path: Path) -> None:
    knowledge = tmp_path / "knowledge"
    knowledge.mkdir()
    (knowledge / "ferry.md").write_text(FULL)
    first = build_models(knowledge, tmp_path / "kept")
    assert first.topical.language_model is not None
    built_ns = first.topical.language_model.stat().st_mtime_ns
    assert "ferry F EH R IY" in first.topical.dictionary.read_text().splitlines()
    general = first.general.dictionary.read_text().split()
    assert len(first.general.dictionary.read_text().splitlines()) > 20_000
    assert "shit" not in general
    assert build_models(knowledge, tmp_path / "kept") == first
    assert first.topical.language_model.stat().st_mtime_ns == built_ns
    (knowledge / "ferry.md").write_text(FULL.replace("nine", "ten"))
    second = build_models(knowledge, tmp_path / "kept")
    assert second.topical != first.topical
    assert second.general == first.general
    assert not list((tmp_path / "kept").glob("*unfinished*"))
