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


async def indexed_texts(knowledge: KnowledgeFolder) -> dict[str, str]:
    return {passage.id: " ".join(passage.sentences) for passage in (await knowledge.current_index()).passages}


async def test_added_file_is_indexed(knowledge: KnowledgeFolder, tmp_path: Path, clock: Clock):
    write(tmp_path, "roses", "Cut them.")
    clock.now_s += 1
    assert await indexed_texts(knowledge) == {"ferry": "The ferry sails.", "roses": "Cut them."}


async def test_changed_and_removed_files_are_followed(knowledge: KnowledgeFolder, tmp_path: Path, clock: Clock):
    write(tmp_path, "ferry", "The ferry engines.", modified_s=2)
    clock.now_s += 1
    assert await indexed_texts(knowledge) == {"ferry": "The ferry engines."}
    (tmp_path / "ferry.md").unlink()
    clock.now_s += 1
    assert await indexed_texts(knowledge) == {}


async def test_folder_is_not_rescanned_before_its_interval(knowledge: KnowledgeFolder, tmp_path: Path, clock: Clock):
    write(tmp_path, "roses", "Cut them.")
    clock.now_s += 0.9
    assert list(await indexed_texts(knowledge)) == ["ferry"]


async def test_unchanged_folder_keeps_its_index(knowledge: KnowledgeFolder, clock: Clock):
    before = await knowledge.current_index()
    clock.now_s += 1
    assert await knowledge.current_index() is before


async def test_file_that_becomes_invalid_keeps_its_last_passage(
    knowledge: KnowledgeFolder, tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
):
    (tmp_path / "ferry.md").write_text("no front matter")
    for _ in range(3):
        clock.now_s += 1
        assert await indexed_texts(knowledge) == {"ferry": "The ferry sails."}
    reasons = [record.__dict__["reason"] for record in caplog.records if "reason" in record.__dict__]
    assert reasons == ["ferry.md, line 1: the file must begin with a line '---'"]


async def test_removed_folder_keeps_its_index(knowledge: KnowledgeFolder, tmp_path: Path, clock: Clock):
    shutil.rmtree(tmp_path)
    clock.now_s += 1
    assert list(await indexed_texts(knowledge)) == ["ferry"]


def test_invalid_file_fails_the_start(tmp_path: Path):
    (tmp_path / "broken.md").write_text("---\n")
    with pytest.raises(InvalidRequest, match=r"broken\.md, line 1"):
        KnowledgeFolder(tmp_path).load()


def test_unreadable_file_fails_the_start(tmp_path: Path):
    (tmp_path / "folder.md").mkdir()
    with pytest.raises(InvalidRequest, match=r"folder\.md: Is a directory"):
        KnowledgeFolder(tmp_path).load()


def test_missing_folder_fails_the_start(tmp_path: Path):
    with pytest.raises(InvalidRequest, match="no such folder"):
        KnowledgeFolder(tmp_path / "nowhere").load()


def test_too_many_files_fail_the_start(tmp_path: Path):
    for number in range(folder_module.MAX_FILES + 1):
        (tmp_path / f"{number}.md").touch()
    with pytest.raises(InvalidRequest, match="more than 2000 files"):
        KnowledgeFolder(tmp_path).load()


async def test_passages_in_subfolders_are_indexed(knowledge: KnowledgeFolder, tmp_path: Path, clock: Clock):
    write(tmp_path, "garden/roses", "Cut them.")
    (tmp_path / "notes.txt").write_text("not a passage")
    clock.now_s += 1
    assert sorted(await indexed_texts(knowledge)) == ["ferry", "garden/roses"]


def test_dangling_link_is_ignored(tmp_path: Path):
    (tmp_path / "dangling.md").symlink_to(tmp_path / "nothing")
    KnowledgeFolder(tmp_path).load()


async def test_concurrent_requests_get_the_current_index(knowledge: KnowledgeFolder, tmp_path: Path, clock: Clock):
    write(tmp_path, "roses", "Cut them.")
    clock.now_s += 1
    indexes = await asyncio.gather(*(knowledge.current_index() for _ in range(20)))
    assert {len(index.passages) for index in indexes} == {2}
