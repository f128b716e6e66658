"""Heard words by speech marks and playback position, and the history that keeps them."""

from __future__ import annotations

import pytest
from orchestrator.conversation.model.history import History, heard_text, merge_consecutive
from orchestrator.conversation.model.ports import Message, SpeechMark

TEXT = "Once upon a time."
WORDS = [SpeechMark(0, 4, 0), SpeechMark(5, 9, 300), SpeechMark(10, 11, 600), SpeechMark(12, 17, 700)]
PHRASES = [SpeechMark(0, 9, 0), SpeechMark(10, 17, 1000)]


@pytest.mark.parametrize(
    ("marks", "heard_ms", "duration_ms", "heard"),
    [
        (WORDS, 0, 1000, ""),
        (WORDS, 100, 1000, ""),
        (WORDS, 299, 1000, ""),
        (WORDS, 300, 1000, "Once"),
        (WORDS, 599, 1000, "Once"),
        (WORDS, 600, 1000, "Once upon"),
        (WORDS, 999, 1000, "Once upon a"),
        (WORDS, 1000, 1000, TEXT),
        (WORDS, 760, None, "Once upon a"),
        (PHRASES, 400, 2000, ""),
        (PHRASES, 500, 2000, "Once"),
        (PHRASES, 999, 2000, "Once"),
        (PHRASES, 1000, 2000, "Once upon"),
        ([], 500, None, "Once"),
        ([], 99_999, None, TEXT),
        ([], 0, None, ""),
    ],
)
def test_heard_words_by_marks_and_playback_position(marks, heard_ms, duration_ms, heard):
    assert heard_text(TEXT, marks, heard_ms, duration_ms) == heard


def test_marks_count_code_points_not_bytes():
    text = "Ça va? 👍🏽 नमस्ते दुनिया"
    marks = [
        SpeechMark(0, 2, 0),
        SpeechMark(3, 6, 200),
        SpeechMark(7, 9, 400),
        SpeechMark(10, 16, 600),
        SpeechMark(17, 23, 900),
    ]
    assert heard_text(text, marks, 900, 1200) == "Ça va? 👍🏽 नमस्ते"


def test_history_drops_the_oldest_and_removed_turns():
    history = History(max_messages=3)
    for turn_id in (1, 2):
        history.add_user_turn(turn_id, f"question {turn_id}")
        history.add_heard_reply(turn_id, f"answer {turn_id}", interrupted=False)
    assert [message.text for message in history.messages] == ["answer 1", "question 2", "answer 2"]
    history.remove_turn(2)
    assert [message.text for message in history.messages] == ["answer 1"]
    assert history.last_turn_id() == 1


def test_unheard_reply_does_not_enter_history():
    history = History()
    history.add_heard_reply(1, "", interrupted=True)
    assert history.messages == ()


def test_consecutive_messages_of_one_role_are_merged():
    merged = merge_consecutive([Message("user", "one"), Message("user", "two"), Message("anchor", "three")])
    assert merged == (Message("user", "one two"), Message("anchor", "three"))
