"""The installed package is held to its pinned content; damaged, swapped and missing ones are refused in words."""

from __future__ import annotations

import marshal
import shutil
import struct
import subprocess
import sys
from dataclasses import replace
from importlib.util import MAGIC_NUMBER, cache_from_source
from pathlib import Path

import pytest
from service_kit.errors import EngineFailed
from tts_service.engines.hibari import package
from tts_service.engines.hibari.engine import WORKER
from tts_service.engines.phrase_worker.client import PhraseWorker


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(package.find_package(), tmp_path / "hibari"))


def flip_a_bit(folder: Path) -> None:
    model = folder / "assets" / "hibari.onnx"
    content = bytearray(model.read_bytes())
    content[len(content) // 2] ^= 1
    model.write_bytes(content)


def truncate(folder: Path) -> None:
    model = folder / "assets" / "hibari.onnx"
    model.write_bytes(model.read_bytes()[:-1000])


def remove(folder: Path) -> None:
    (folder / "assets" / "lexicon_us_gold.json.gz").unlink()


def swap(folder: Path) -> None:
    shutil.copy(folder / "assets" / "oov_gb.onnx", folder / "assets" / "oov.onnx")


def change_code(folder: Path) -> None:
    with (folder / "tts.py").open("a", encoding="utf-8") as source:
        source.write("\nimport socket\n")


def test_installed_package_is_the_pinned_one(copy: Path) -> None:
    package.verify(package.find_package())
    (copy / "__pycache__" / "more.cpython-399.pyc").write_bytes(b"compiled")
    package.verify(copy)


@pytest.mark.parametrize("damage", [flip_a_bit, truncate, remove, swap, change_code])
def test_damaged_package_is_refused_with_the_command_that_repairs_it(copy: Path, damage) -> None:
    damage(copy)
    with pytest.raises(package.PackageMismatch, match=r"pip install --force-reinstall --no-deps hibari-tts==0\.2\.1"):
        package.verify(copy)


def test_a_compiled_file_outside_the_cache_is_refused(copy: Path) -> None:
    """Python imports it where there is no source of its name."""
    (copy / "more.pyc").write_bytes(b"compiled")
    with pytest.raises(package.PackageMismatch, match="damaged"):
        package.verify(copy)


VERIFIED_IMPORT = "from tts_service.engines.hibari.package import import_package; import_package()"


@pytest.mark.parametrize("program", ["import hibari", VERIFIED_IMPORT])
def test_a_swapped_compiled_file_is_not_run(copy: Path, program: str) -> None:
    """It has the size and time of its source, so a plain import runs it; that of the worker does not."""
    source = copy / "tts.py"
    swapped = Path(cache_from_source(str(source)))
    swapped.parent.mkdir(exist_ok=True)
    code = marshal.dumps(compile("raise SystemExit('swapped')", "tts.py", "exec"))
    stat = source.stat()
    swapped.write_bytes(MAGIC_NUMBER + struct.pack("<III", 0, int(stat.st_mtime), stat.st_size) + code)
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(copy.parent)!r}); {program}"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ("swapped" in done.stderr) is (program == "import hibari")
    assert (done.returncode == 0) is (program != "import hibari")


async def test_worker_without_its_package_says_so_and_does_not_start(tmp_path: Path) -> None:
    # A worker whose Python finds no `hibari`: the finder refuses the name.
    program = (
        "import sys\n"
        "class Missing:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'hibari': raise ModuleNotFoundError(name)\n"
        "import importlib.util as util\n"
        "find = util.find_spec\n"
        "util.find_spec = lambda name: None if name == 'hibari' else find(name)\n"
        "from tts_service.engines.hibari.worker import run\n"
        "run(True)\n"
    )
    worker = PhraseWorker(replace(WORKER, command=(sys.executable, "-I", "-c", program)))
    with pytest.raises(EngineFailed, match="is not installed") as failed:
        async with worker.running():
            pass
    assert failed.value.code == "tts.model_broken"
