"""The pure parts of `make eval-tts`: sentences, compared words, and the times of child processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from eval_tts import KNOWLEDGE, Score, children_cpu_s, pick, read_sentences, table_row, words_of
from offline_engines import word_errors


@pytest.mark.parametrize(
    ("written", "heard", "language"),
    [
        ("It costs 35 crowns.", "It costs thirty-five crowns", "en"),
        ("Mr. Smith's harbour", "mister smith's harbor", "en"),
        ("a well-known, good… loaf!", "A well known good loaf", "en"),
        ("¿Qué tiempo hará?", "qué tiempo hará", "es"),
    ],
)
def test_the_same_speech_written_otherwise_has_no_errors(written: str, heard: str, language: str) -> None:
    assert word_errors(words_of(written, language), words_of(heard, language)) == 0


def test_other_words_are_errors() -> None:
    assert word_errors(words_of("the red boat", "en"), words_of("the bed", "en")) == 2


def test_the_shipped_passages_have_sentences_in_every_language() -> None:
    for language in ("en", "es", "fr", "it", "pt", "de", "nl", "hi"):
        sentences = list(read_sentences(KNOWLEDGE, language))
        assert len(sentences) >= 10, language
        assert all("\n" not in sentence and sum(map(str.isalpha, sentence)) > 10 for sentence in sentences)
    assert len(list(read_sentences(KNOWLEDGE, "en"))) > 200


def test_headers_are_not_spoken(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("---\ntitle: no\nlanguage: es\n---\nEsta frase se dice. Y esta otra.\n", "utf-8")
    assert list(read_sentences(tmp_path, "es")) == ["Esta frase se dice."]
    assert list(read_sentences(tmp_path, "en")) == []


def test_picked_sentences_are_spread_and_distinct() -> None:
    sentences = list(map(str, range(100)))
    assert pick(sentences, 4) == ["0", "25", "50", "75"]
    assert pick(sentences, 200) == sentences


def test_a_row_shows_no_rate_where_nothing_was_judged() -> None:
    score = Score(first_ms=[10.0, 20.0, 30.0], factors=[0.1, 0.2, 0.3], cpu_factors=[0.1, 0.1, 0.1])
    assert table_row("kokoro", "hi", score, 3) == "| kokoro | hi | 3 | – | 20 (20) | 0.200 | 0.100 |"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_work_of_a_child_process_is_counted() -> None:
    busy = "import sys, time\nwhile time.process_time() < 0.3: pass\nprint('done', flush=True)\nsys.stdin.read()"
    before_s = children_cpu_s()
    with subprocess.Popen([sys.executable, "-c", busy], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert children_cpu_s() - before_s >= 0.25
        child.communicate()
