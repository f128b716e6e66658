"""What a model writes for itself is not part of the answer; an answer that mentions a tag is."""

from __future__ import annotations

import pytest
from orchestrator.conversation.output.normalisation.reasoning import ReasoningFilter

ANSWER = "It will rain on Sunday."


def answer_of(*deltas: str, begins_in_reasoning: bool = False) -> str:
    """The answer that a listener is left with."""
    filtering = ReasoningFilter(begins_in_reasoning)
    answer = ""
    for visible in (*map(filtering.push_text, deltas), filtering.end_text()):
        answer = ("" if visible.withdraws else answer) + visible.text
    return answer.strip()


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize(
    "written",
    [
        f"<think>Rain is likely.</think> {ANSWER}",
        f"<think>\n\n</think>\n\n{ANSWER}",
        f"<think></think>{ANSWER}",
        f"<thinking>hm</thinking>\n{ANSWER}",
        f"<reasoning>hm</reasoning>{ANSWER}",
        f"<seed:think>hm</seed:think>{ANSWER}",
        f"[THINK]hm[/THINK]{ANSWER}",
        f"◁think▷hm◁/think▷{ANSWER}",
        f"<|begin_of_thought|>hm<|end_of_thought|>\n\n<|begin_of_solution|>{ANSWER}<|end_of_solution|>",
        f"<|START_THINKING|>hm<|END_THINKING|><|START_RESPONSE|>{ANSWER}<|END_RESPONSE|>",
        f"<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>{ANSWER}<|return|>",
        f"<|start|>assistant<|channel|>commentary to=functions.weather <|constrain|>json<|message|>{{}}<|call|>"
        f"<|start|>assistant<|channel|>final<|message|>{ANSWER}",
        f"analysisWe need the weather.assistantfinal{ANSWER}",
        f"<|channel>thought\nhm<channel|>{ANSWER}",
        f'<tool_call>{{"name": "weather"}}</tool_call>\n{ANSWER}',
        f"<function=weather>{{}}</function>{ANSWER}",
        f'{ANSWER} <tool_call>\n{{"name": "weather"}}\n</tool_call>',
        f'{ANSWER}[TOOL_CALLS] [{{"name": "weather"}}]',
        f"<｜tool▁calls▁begin｜>weather<｜tool▁calls▁end｜>{ANSWER}",
        f"<|im_start|>assistant\n{ANSWER}<|im_end|>",
        f"{ANSWER}<|im_end|>\n<|im_start|>user\nAnd on Monday?<|im_end|>",
        f"<|start_header_id|>assistant<|end_header_id|>\n\n{ANSWER}<|eot_id|>",
        f"<start_of_turn>model\n{ANSWER}<end_of_turn>",
        f"<answer>{ANSWER}</answer>",
        f"{ANSWER}</s>",
        # The template opened the tag.
        f"The user asks for rain.\nSo I look.</think>{ANSWER}",
        f"The user asks for rain.\n</think>\n\n{ANSWER}",
        f"the user asks</think>\n\n{ANSWER}",
        f"the user asks[/THINK]{ANSWER}",
        f"hm<|end|><|start|>assistant<|channel|>final<|message|>{ANSWER}",
        f"</think>{ANSWER}",
        # One in the middle of the reply, and the next.
        f"<think>one</think><think>two</think>{ANSWER}",
        "It will rain <br>on Sunday.\n<think>Really?</think>".replace(" <br>", " "),
    ],
)
def test_only_the_answer_is_left(written: str, split: bool) -> None:
    assert answer_of(*(written if split else (written,))) == ANSWER


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize(
    "written",
    [
        "The tag <think> opens the reasoning of some models.",
        "Models write <think> and </think> around it.",
        "It ends with </think> and goes on.",
        "I typed “<think>” into it.",
        "<think> is the word that opens it.",
        "Is 3 <4, and 5> 4? See [the list] and [1].",
        "The analysis is thorough. I think, therefore I am.",
        "analysis of the weather: rain.",
        "thinking aloud, final answer: rain.",
        "Say <tool_call> to call one.",
        "It is over.</think>",
    ],
)
def test_an_answer_that_mentions_a_tag_stays_whole(written: str, split: bool) -> None:
    assert answer_of(*(written if split else (written,))) == written.removesuffix("over.</think>") + (
        "over." if written.endswith("over.</think>") else ""
    )


def test_reasoning_that_never_ends_is_not_an_answer() -> None:
    filtering = ReasoningFilter()
    assert filtering.push_text("<think>Let me look at the weather. It").text == ""
    assert filtering.is_hiding
    assert filtering.end_text().text == ""
    assert filtering.has_hidden


def test_a_template_that_opens_the_reasoning_is_waited_for() -> None:
    assert answer_of("Let me look", ".</think>It rains.", begins_in_reasoning=True) == "It rains."
    assert answer_of("It rains ", "on Sunday.", begins_in_reasoning=True) == "It rains on Sunday."


def test_prose_passes_at_once() -> None:
    filtering = ReasoningFilter()
    assert [filtering.push_text(delta).text for delta in ("It", " will", " rain.", " 3 < 4")] == [
        "It",
        " will",
        " rain.",
        " 3 < 4",
    ]
