"""The files of prepared passages."""

from pathlib import Path

import pytest
from orchestrator.llm.local.slot_files import SlotFiles, slot_filename

NAME = slot_filename("model", "Notes on the ferry")


def save(folder: Path, name: str, content: bytes = b"saved") -> None:
    (folder / name).write_bytes(content)


@pytest.fixture
def files(tmp_path: Path) -> SlotFiles:
    found = SlotFiles(tmp_path, 100)
    save(tmp_path, NAME)
    assert found.record_save(NAME, 5)
    return found


def test_name_depends_on_model_and_notes():
    assert len({NAME, slot_filename("other", "Notes on the ferry"), slot_filename("model", "Notes on the tram")}) == 3


def test_saved_file_is_prepared_also_for_the_next_process(files: SlotFiles, tmp_path: Path):
    assert files.is_prepared(NAME)
    assert SlotFiles(tmp_path, 100).is_prepared(NAME)


def test_file_without_a_note_is_not_prepared(tmp_path: Path):
    save(tmp_path, NAME)
    assert not SlotFiles(tmp_path, 100).is_prepared(NAME)
    assert not (tmp_path / NAME).exists()


@pytest.mark.parametrize("content", [b"sav", b"savedsaved", b""])
def test_file_of_another_size_is_removed(files: SlotFiles, tmp_path: Path, content: bytes):
    save(tmp_path, NAME, content)
    assert not files.is_prepared(NAME)
    assert list(tmp_path.iterdir()) == []


def test_changed_content_of_the_same_size_is_found_after_a_start(files: SlotFiles, tmp_path: Path):
    save(tmp_path, NAME, b"other")
    assert not SlotFiles(tmp_path, 100).is_prepared(NAME)


def test_damaged_note_counts_as_none(files: SlotFiles, tmp_path: Path):
    next(tmp_path.glob("*.json")).write_text("{", "utf-8")
    assert not files.is_prepared(NAME)


def test_save_that_is_not_complete_is_not_recorded(tmp_path: Path):
    found = SlotFiles(tmp_path, 100)
    assert not found.record_save(NAME, 5)
    save(tmp_path, NAME, b"sav")
    assert not found.record_save(NAME, 5)
    assert list(tmp_path.iterdir()) == []


def saved(folder: Path, max_bytes: int) -> tuple[SlotFiles, list[str]]:
    """Three files of five bytes."""
    found = SlotFiles(folder, max_bytes)
    names = [slot_filename("model", str(number)) for number in range(3)]
    for name in names:
        save(folder, name)
        found.record_save(name, 5)
    return found, names


@pytest.mark.parametrize(
    ("max_bytes", "wanted", "left", "has_room"),
    [
        (20, 3, 3, True),
        (19, 3, 3, False),
        (15, 2, 2, True),
        (14, 2, 2, False),
        # The setting was larger before.
        (10, 3, 2, False),
    ],
)
def test_only_unwanted_files_make_room(tmp_path: Path, max_bytes: int, wanted: int, left: int, has_room: bool):
    found, names = saved(tmp_path, max_bytes)
    assert found.make_room(names[:wanted]) == has_room
    assert sum(found.is_prepared(name) for name in names) == left
    assert sum(found.is_prepared(name) for name in names[:wanted]) == left


def test_empty_folder_has_room(tmp_path: Path):
    assert SlotFiles(tmp_path, 100).make_room(())
