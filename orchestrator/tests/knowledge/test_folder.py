import asyncio
import os
import shutil
from pathlib import Path

import orchestrator.knowledge.folder as folder_module
import pytest
from orchestrator.knowledge.folder import KnowledgeFolder
from service_kit.errors import InvalidRequest


class Clock:
    """A clock that a test sets."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def write(folder: Path, name: str, text: str, modified_s: int = 1) -> None:
    path = folder / f"{name}.md"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"---\ntitle: {name}\n---\n{text}\n")
    os.utime(path, (modified_s, modified_s))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def knowledge(tmp_path: Path, clock: Clock) -> KnowledgeFolder:
    write(tmp_path, "ferry", "The ferry sails.")
    folder = KnowledgeFolder(tmp_path, rescan_s=1.0, clock=clock)
    folder.load()
    return folder


async def told(knowledge: KnowledgeFolder) -> dict[str, str]:
    return {passage.id: " ".join(passage.sentences) for passage in (await knowledge.index()).passages}


async def test_a_file_added_while_running_is_known(knowledge: KnowledgeFolder, tmp_path: Path, clock: Clock):
    write(tmp_path, "roses", "Cut them.")
    clock.now_s += 1
    assert await told(knowledge) == {"ferry": "The ferry sails.", "roses": "Cut them."}


async def test_files_that_change_or_go_are_noticed(knowledge: KnowledgeFolder, tmp_path: Path, clock: Clock):
    write(tmp_path, "ferry", "The ferry engines.", modified_s=2)
    clock.now_s += 1
    assert await told(knowledge) == {"ferry": "The ferry engines."}
    (tmp_path / "ferry.md").unlink()
    clock.now_s += 1
    assert await told(knowledge) == {}


async def test_the_folder_is_not_read_more_often_than_asked(knowledge: KnowledgeFolder, tmp_path: Path, clock: Clock):
    write(tmp_path, "roses", "Cut them.")
    clock.now_s += 0.9
    assert list(await told(knowledge)) == ["ferry"]


async def test_an_unchanged_folder_keeps_its_index(knowledge: KnowledgeFolder, clock: Clock):
    before = await knowledge.index()
    clock.now_s += 1
    assert await knowledge.index() is before


async def test_a_file_broken_while_running_keeps_its_last_good_text(
    knowledge: KnowledgeFolder, tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
):
    (tmp_path / "ferry.md").write_text("no front matter")
    for _ in range(3):
        clock.now_s += 1
        assert await told(knowledge) == {"ferry": "The ferry sails."}
    reasons = [record.__dict__["reason"] for record in caplog.records if "reason" in record.__dict__]
    assert reasons == ["ferry.md, line 1: the file must begin with a line '---'"]


async def test_a_folder_that_vanishes_while_running_stays_known(
    knowledge: KnowledgeFolder, tmp_path: Path, clock: Clock
):
    shutil.rmtree(tmp_path)
    clock.now_s += 1
    assert list(await told(knowledge)) == ["ferry"]


def test_a_broken_file_stops_the_start(tmp_path: Path):
    (tmp_path / "broken.md").write_text("---\n")
    with pytest.raises(InvalidRequest, match=r"broken\.md, line 1"):
        KnowledgeFolder(tmp_path).load()


def test_a_file_that_cannot_be_read_stops_the_start(tmp_path: Path):
    (tmp_path / "folder.md").mkdir()
    with pytest.raises(InvalidRequest, match=r"folder\.md: Is a directory"):
        KnowledgeFolder(tmp_path).load()


def test_a_missing_folder_stops_the_start(tmp_path: Path):
    with pytest.raises(InvalidRequest, match="there is no such folder"):
        KnowledgeFolder(tmp_path / "nowhere").load()


def test_a_folder_of_too_many_files_stops_the_start(tmp_path: Path):
    for number in range(folder_module.MAX_FILES + 1):
        (tmp_path / f"{number}.md").touch()
    with pytest.raises(InvalidRequest, match="more than 2000 files"):
        KnowledgeFolder(tmp_path).load()


async def test_passages_may_stand_in_subfolders(knowledge: KnowledgeFolder, tmp_path: Path, clock: Clock):
    write(tmp_path, "garden/roses", "Cut them.")
    (tmp_path / "notes.txt").write_text("not a passage")
    clock.now_s += 1
    assert sorted(await told(knowledge)) == ["ferry", "garden/roses"]


def test_a_link_to_nothing_is_no_passage(tmp_path: Path):
    (tmp_path / "dangling.md").symlink_to(tmp_path / "nothing")
    KnowledgeFolder(tmp_path).load()


async def test_many_may_ask_at_once(knowledge: KnowledgeFolder, tmp_path: Path, clock: Clock):
    write(tmp_path, "roses", "Cut them.")
    clock.now_s += 1
    indexes = await asyncio.gather(*(knowledge.index() for _ in range(20)))
    assert {len(index.passages) for index in indexes} == {2}
