"""The two rankings and the decision whether a passage answers, with cosines that a test chooses."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from orchestrator.knowledge.folder import KnowledgeFolder
from orchestrator.knowledge.passages import Passage
from orchestrator.knowledge.retriever import RRF_K, Retriever, Similarities, fuse_rankings

FAR, NEAR = 0.78, 0.93
# A question with one word of a passage, too few for an answer by words alone.
WEAK = "boat purple telephone"


class ChosenCosines:
    """Cosines that a test sets; all passages that it does not name are far, and so is the background."""

    def __init__(self) -> None:
        self.near: dict[str, float] = {}
        self.background = FAR
        self.asked: list[str] = []
        self.available = True

    async def similarities(self, question: str, passages: Sequence[Passage]) -> Similarities:
        self.asked.append(question)
        if not self.available:
            return Similarities()
        return Similarities({passage.id: self.near.get(passage.id, FAR) for passage in passages}, self.background)


@pytest.fixture
def cosines() -> ChosenCosines:
    return ChosenCosines()


@pytest.fixture
def retriever(tmp_path: Path, cosines: ChosenCosines) -> Retriever:
    def write(name: str, front_matter: str, text: str) -> None:
        (tmp_path / f"{name}.md").write_text(f"---\n{front_matter}\n---\n{text}\n", "utf-8")

    write("ferry", "title: the ferry\nkeywords: boat, ship", "It sails at six.")
    write("roses", "title: how to prune roses", "Cut above a bud.")
    write("bread", "title: the bakery", "The ferry brings the flour for the bread.")
    write("wetter", "title: das Wetter\nlanguage: de", "Es regnet in Strömen.")
    for number in range(8):
        write(f"other-{number}", f"title: topic number {number}", f"Nothing else, {number}.")
    knowledge = KnowledgeFolder(tmp_path)
    knowledge.load()
    return Retriever(knowledge, cosines)


async def answer(retriever: Retriever, *hypotheses: str, language: str = "en") -> str | None:
    found = await retriever.find(hypotheses, language)
    return found.answer.id if found.answer else None


def test_fusion_adds_reciprocal_ranks():
    scores = fuse_rankings(["a", "b"], ["b", "c"])
    assert scores == pytest.approx({"a": 1 / (RRF_K + 1), "b": 1 / (RRF_K + 2) + 1 / (RRF_K + 1), "c": 1 / (RRF_K + 2)})
    assert fuse_rankings() == {}


async def test_words_alone_find_a_passage(retriever: Retriever, cosines: ChosenCosines):
    cosines.available = False
    assert await answer(retriever, "when is the boat") == "ferry"
    assert await answer(retriever, "what does a crossing cost") is None


async def test_meaning_finds_what_words_do_not(retriever: Retriever, cosines: ChosenCosines):
    cosines.near = {"ferry": NEAR}
    assert await answer(retriever, "what does a crossing cost") == "ferry"


async def test_meaning_reorders_what_words_found(retriever: Retriever, cosines: ChosenCosines):
    cosines.near = {"ferry": 0.84, "bread": 0.83}
    assert await answer(retriever, "ferry") == "ferry"
    cosines.near = {"bread": NEAR}
    found = await retriever.find(["ferry bread"], "en")
    assert [match.passage.id for match in found.matches[:2]] == ["bread", "ferry"]


async def test_passage_that_is_not_near_enough_is_no_answer(retriever: Retriever, cosines: ChosenCosines):
    cosines.near = {"ferry": 0.84}
    found = await retriever.find(["what is the capital of Mongolia"], "en")
    assert found.answer is None
    assert found.matches[0].passage.id == "ferry"


async def test_question_nearer_to_the_background_needs_more_evidence(retriever: Retriever, cosines: ChosenCosines):
    cosines.near = {"ferry": 0.88}
    assert await answer(retriever, "what does a crossing cost") == "ferry"
    cosines.background = 0.91
    assert await answer(retriever, "what does a crossing cost") is None
    cosines.near = {"ferry": 0.95}
    assert await answer(retriever, "what does a crossing cost") == "ferry"


async def test_lone_word_is_no_answer_against_the_meaning(retriever: Retriever, cosines: ChosenCosines):
    # Both words occur in the text of the bakery alone; 5.8 points.
    assert await answer(retriever, "flour bread") is None
    cosines.near = {"bread": 0.83}
    assert await answer(retriever, "flour bread") == "bread"
    cosines.background = 0.84
    assert await answer(retriever, "flour bread") is None
    cosines.available = False
    assert await answer(retriever, "flour bread") == "bread"


async def test_agreeing_hypotheses_need_no_meaning(retriever: Retriever, cosines: ChosenCosines):
    assert await answer(retriever, "flour bread", "flower bread") == "bread"
    assert await answer(retriever, "flour bread", "boat bread ship") != "bread"
    assert await answer(retriever, "flour bread", "nothing known") is None


async def test_words_that_are_sure_need_no_meaning(retriever: Retriever, cosines: ChosenCosines):
    cosines.near = {"roses": 0.85}
    cosines.background = 0.84
    assert await answer(retriever, "ferry boat ship") == "ferry"


async def test_answer_in_another_language_is_reported(retriever: Retriever, cosines: ChosenCosines):
    cosines.near = {"ferry": NEAR}
    found = await retriever.find(["Wann legt das Boot ab?"], "de")
    assert found.answer is not None
    assert found.answer.id == "ferry"
    assert found.in_other_language
    assert not (await retriever.find(["what does a crossing cost"], "en")).in_other_language


async def test_own_language_is_preferred_to_a_slightly_nearer_one(retriever: Retriever, cosines: ChosenCosines):
    cosines.near = {"ferry": NEAR, "wetter": NEAR - 0.015}
    assert await answer(retriever, "Wann legt das Boot ab?", language="de") == "wetter"
    cosines.near = {"ferry": NEAR, "wetter": NEAR - 0.1}
    assert await answer(retriever, "Wann legt das Boot ab?", language="de") == "ferry"


async def test_words_of_its_language_keep_a_question_there(retriever: Retriever, cosines: ChosenCosines):
    cosines.near = {"wetter": NEAR}
    assert await answer(retriever, WEAK) is None
    assert await answer(retriever, "purple elephant") == "wetter"


async def test_agreeing_rankings_need_less_evidence(retriever: Retriever, cosines: ChosenCosines):
    cosines.near = {"ferry": 0.835}
    assert await answer(retriever, WEAK) == "ferry"
    cosines.near = {"roses": 0.835}
    assert await answer(retriever, WEAK) is None


@pytest.mark.parametrize(
    ("hypotheses", "embedded"),
    [
        (["the ferry", "the boat"], ["the ferry"]),
        # The first in which words find a passage, ...
        (["the fairy", "the ferry"], ["the ferry"]),
        # ... and the first of all when none does.
        (["the fairy", "a crossing"], ["the fairy"]),
        (["the fairy"], ["the fairy"]),
        ([], []),
        ([" "], []),
    ],
)
async def test_one_hypothesis_is_embedded(
    retriever: Retriever, cosines: ChosenCosines, hypotheses: list[str], embedded: list[str]
):
    await retriever.find(hypotheses, "en")
    assert cosines.asked == embedded
