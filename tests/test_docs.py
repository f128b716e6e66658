"""Links and file paths in the Markdown files of the repository point at something that exists."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Named in the docs, created by a command.
CREATED = {"deploy/profiles/planned.json", "web/dist"}
# Commands fill it.
FILLED = "models/"
LINK = re.compile(r"\]\(([^)\s]+)\)|<(?:img|a)\s[^>]*?(?:src|href)=\"([^\"]+)\"")
ELSEWHERE = re.compile(r"[a-z]+:", re.IGNORECASE)
FENCED = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)


@cache
def tracked() -> frozenset[str]:
    """Files of the repository, new ones included, and their folders, as paths from its root."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    files = [Path(path) for path in listed if (ROOT / path).exists()]
    return frozenset(str(path) for file in files for path in (file, *file.parents[:-1]))


PAGES = sorted(path for path in tracked() if path.endswith(".md"))


@cache
def prose(page: str) -> str:
    """A page's text without its fenced code."""
    return FENCED.sub("", (ROOT / page).read_text("utf-8"))


@cache
def anchors(page: str) -> frozenset[str]:
    """The fragments of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return frozenset(re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles)


def from_root(page: str, target: str) -> str:
    """The path from the repository's root that `target` has on `page`; empty where it leaves the repository."""
    path = (ROOT / page).parent.joinpath(target).resolve()
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else ""


@pytest.mark.parametrize("page", PAGES)
def test_every_relative_link_resolves(page: str) -> None:
    links = [link or image for link, image in LINK.findall(prose(page))]
    broken = list[str]()
    for link in links:
        if ELSEWHERE.match(link):
            continue
        path, _, fragment = link.partition("#")
        target = from_root(page, path) if path else page
        known_fragment = not fragment or not target.endswith(".md") or fragment in anchors(target)
        if target not in tracked() or not known_fragment:
            broken.append(link)
    assert broken == []


@cache
def sources() -> tuple[str, ...]:
    """What stands before a path: nothing, or the folder of a distribution's packages."""
    return "", *(f"{path}/" for path in tracked() if path.endswith("/src"))


@cache
def top_folders() -> frozenset[str]:
    """The first parts of paths that are checked: folders of the repository, and packages."""
    below = (path.removeprefix(source) for source in sources() for path in tracked() if path.startswith(source))
    return frozenset(path.partition("/")[0] for path in below if "/" in path)


@pytest.mark.parametrize("page", PAGES)
def test_every_path_in_backticks_exists(page: str) -> None:
    quoted = (path.rstrip("/") for path in re.findall(r"`([\w.-]+/[\w./-]*)`", prose(page)))
    paths = {path for path in quoted if path.partition("/")[0] in top_folders()} - CREATED
    paths = {path for path in paths if not path.startswith(FILLED)}
    known = {path for path in paths for source in sources() if source + path in tracked()}
    assert {path for path in paths - known if from_root(page, path) not in tracked()} == set()


def test_the_reference_lists_every_metric() -> None:
    defined = re.compile(r"\b(?:Counter|Gauge|Histogram)\(\s*\"(anchor_\w+)\"")
    modules = [path for path in tracked() if path.endswith(".py") and "/src/" in path]
    names = {name for path in modules for name in defined.findall((ROOT / path).read_text("utf-8"))}
    assert len(names) > 50
    assert names == set(re.findall(r"`(anchor_\w+)`", prose("docs/metrics.md")))


def test_links_are_found() -> None:
    assert len(LINK.findall(prose("README.md"))) > 20


def test_every_control_has_its_test() -> None:
    text = (ROOT / "docs/security.md").read_text("utf-8")
    rows = re.findall(r"^\|.*\| (`test_.*) in \[[^]]*\]\(\.\./([^)]*)\) \|$", text, re.MULTILINE)
    missing = [
        (name, path)
        for names, path in rows
        for name in re.findall(r"`(test_\w+)`", names)
        if not re.search(rf"^(async )?def {name}\(", (ROOT / path).read_text("utf-8"), re.MULTILINE)
    ]
    assert missing == []
    assert len(rows) >= 20


def test_every_threat_has_its_controls() -> None:
    text = (ROOT / "docs/security.md").read_text("utf-8")
    threats, _, rest = text.partition("## Threat model\n")[2].partition("\n## Access\n")
    controls = rest.partition("## Controls and their tests\n")[2].partition("\n## ")[0]
    named = {name for line in rows_of(threats) for name in line[3].split(", ")}
    assert named == {line[0] for line in rows_of(controls) if line[0]}


def rows_of(text: str) -> list[list[str]]:
    """The cells of a page's table, without its head."""
    return [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("| ")
    ][1:]
