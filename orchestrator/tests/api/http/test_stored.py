"""`/stored` over a real server: exactly one name selects what is exported or deleted."""

from __future__ import annotations

import httpx
import pytest
from api_support import FakeSessions, serve_apis
from orchestrator.conversation.model.store import Selection


@pytest.fixture
def sessions():
    return FakeSessions()


@pytest.fixture
async def http(sessions):
    async with serve_apis(sessions) as host, httpx.AsyncClient(base_url=f"http://{host}", timeout=30) as client:
        yield client


@pytest.mark.parametrize(
    ("parameter", "by"), [("ticket", "ticket"), ("session_id", "session"), ("person_id", "person")]
)
async def test_stored_data_is_exported_and_deleted_by_one_name(http, sessions, parameter, by):
    exported = await http.get("/stored", params={parameter: "a/b ?&é"})
    assert exported.json() == {"conversations": [{"id": "key", "person_id": "a/b ?&é"}]}
    deleted = await http.delete("/stored", params={parameter: "a/b ?&é"})
    assert (deleted.status_code, deleted.json()) == (200, {"deleted_conversations": 2})
    assert sessions.selections == [Selection(by, "a/b ?&é")] * 2


@pytest.mark.parametrize("query", ["", "ticket=", "ticket=a&person_id=b", f"person_id={'x' * 300}", "name=x"])
async def test_none_or_several_names_are_refused(http, sessions, query):
    for method in ("GET", "DELETE"):
        answer = await http.request(method, f"/stored?{query}")
        assert 400 <= answer.status_code < 500
    assert sessions.selections == []


async def test_conversation_is_begun_for_a_person(http, sessions):
    started = await http.post("/conversation/start", json={"person_id": "ada"})
    assert started.status_code == 201
    asked = await http.post("/interact", json={"text": "hello", "person_id": "grace"})
    assert asked.status_code == 200
    assert sessions.persons == ["ada", "grace"]
