from pathlib import Path

import pytest
from orchestrator.knowledge.passages import MAX_PASSAGE_BYTES, PassageKind, parse_passage, read_passage, split_sentences
from orchestrator.knowledge.stop_words import split_words, topic_words
from service_kit.errors import InvalidRequest

FERRY = """---
title: the ferry
keywords: boat, ship ,
questions:
- When does the next ferry leave?
- How much is: a ticket?

kind: news
language: nl
---
The ferry sails at six. It
takes a bicycle, too!
"""


def test_file_is_parsed_into_a_passage():
    passage = parse_passage("ferry", FERRY)
    assert passage.title == "the ferry"
    assert passage.keywords == ("boat", "ship")
    assert passage.questions == ("When does the next ferry leave?", "How much is: a ticket?")
    assert passage.kind is PassageKind.NEWS
    assert passage.language == "nl"
    assert passage.sentences == ("The ferry sails at six.", "It takes a bicycle, too!")


def test_title_and_text_are_sufficient():
    passage = parse_passage("short", "---\ntitle: short\n---\nThat is all.")
    assert (passage.language, passage.kind, passage.keywords, passage.questions) == ("en", PassageKind.NOTE, (), ())


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "f.md, line 1: the file must begin with"),
        ("just text", "f.md, line 1: the file must begin with"),
        ("---\ntitle: a\ntext", "f.md, line 3: the front matter must end"),
        ("---\ntitle: a\ncolour: red\n---\nText.", "f.md, line 3: expected one of"),
        ("---\ntitle: a\njust words\n---\nText.", "f.md, line 3: expected one of"),
        ("---\n- orphan\n---\nText.", "f.md, line 2: a list entry must follow a key"),
        ("---\ntitle: a\ntitle: b\n---\nText.", "f.md, line 3: 'title' occurs twice"),
        ("---\nkeywords: a\n---\nText.", "f.md, line 1: 'title:' is missing"),
        ("---\ntitle: a\n---\n\n", "the text below the front matter is missing"),
        ("---\ntitle: a\n---\nText.\n# Heading", "f.md, line 5: the text is spoken"),
        ("---\ntitle: a\n---\n- a list", "f.md, line 4: the text is spoken"),
        ("---\ntitle: a\nkind: gossip\n---\nText.", "kind 'gossip' is not one of"),
        ("---\ntitle: a\nlanguage: English\n---\nText.", "language 'English' is not two lowercase letters"),
    ],
)
def test_invalid_file_is_refused_with_its_name_and_line(text: str, complaint: str):
    with pytest.raises(InvalidRequest) as refused:
        parse_passage("f", text)
    assert refused.value.code == "knowledge.invalid"
    assert complaint in refused.value.message


def test_oversized_file_is_refused(tmp_path: Path):
    path = tmp_path / "large.md"
    path.write_text("---\ntitle: a\n---\n" + "word " * (MAX_PASSAGE_BYTES // 5))
    with pytest.raises(InvalidRequest, match=r"large\.md, line 1: the file is larger than 64 kB"):
        read_passage(path, "large")


def test_file_that_is_not_utf_8_is_refused_with_its_line(tmp_path: Path):
    path = tmp_path / "latin.md"
    path.write_bytes(b"---\ntitle: a\n---\nCaf\xe9.")
    with pytest.raises(InvalidRequest, match=r"latin\.md, line 4: the text is not UTF-8"):
        read_passage(path, "latin")


def test_byte_order_mark_is_ignored(tmp_path: Path):
    path = tmp_path / "marked.md"
    path.write_bytes(b"\xef\xbb\xbf---\r\ntitle: a\r\n---\r\nText.\r\n")
    assert read_passage(path, "marked").sentences == ("Text.",)


def test_sentences_end_at_the_marks_of_every_script():
    assert split_sentences("One. Two? Three! क्या? हाँ। “Four.” Five") == (
        *("One.", "Two?", "Three!", "क्या?", "हाँ।", "“Four.”", "Five"),
    )


def test_decimal_point_does_not_end_a_sentence():
    assert split_sentences("It costs 2.50 crowns. Good.") == ("It costs 2.50 crowns.", "Good.")


def test_words_keep_the_vowel_signs_of_hindi():
    assert list(split_words("क्या बारिश होगी?")) == ["क्या", "बारिश", "होगी"]


def test_stop_words_are_no_topic_words():
    assert topic_words("What's the weather like, and the WEATHER tomorrow?", "en") == ("weather", "tomorrow")
    assert topic_words("Wie wird das Wetter morgen?", "de") == ("wetter",)
