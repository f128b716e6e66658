"""docs/licences.md matches the installed packages."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parent.parent
DOCUMENT = ROOT / "docs/licences.md"
PYPROJECTS = sorted([*ROOT.glob("*/pyproject.toml"), *ROOT.glob("*/*/pyproject.toml")])

# The only GPL package, and the only package of the project that may use it.
GPL_PACKAGE, GPL_USER = "espeakng-loader", "espeak-worker"

# GPL and AGPL, but not LGPL, nor the GCC runtime library exception.
GPL = re.compile(r"(?<!L)GPL(?!.*GCC-exception)|(?<!Lesser )General Public Licen[cs]e", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table of packages."""

    versions: SpecifierSet
    licence: str


def section(title: str) -> str:
    """The text of the document under a heading."""
    _, found, rest = DOCUMENT.read_text().partition(f"\n## {title}\n")
    assert found, f"{DOCUMENT.name} has no section {title!r}"
    return rest.partition("\n## ")[0]


def table() -> dict[str, Row]:
    lines = re.findall(r"^\| ([a-z0-9-]+) \| `([^`]+)` \| ([^|]+) \| [^|]+ \|$", section("Packages"), re.MULTILINE)
    rows = {name: Row(SpecifierSet(versions), licence.strip()) for name, versions, licence in lines}
    assert len(rows) == len(lines), "a package is listed twice"
    return rows


def locked() -> list[Requirement]:
    """Every package line of the lock; a package may have one for each version of Python."""
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    return [Requirement(line.removesuffix("\\").strip()) for line in lines if re.match(r"[a-z0-9]", line)]


def installed_here() -> list[Requirement]:
    return [requirement for requirement in locked() if requirement.marker is None or requirement.marker.evaluate()]


def field(name: str, key: str) -> str:
    """A field of a package's metadata; empty when it is missing."""
    return next(iter(metadata.metadata(name).get_all(key) or []), "")


def stated_licence(name: str) -> str:
    """The licence in a package's metadata: its expression, else its licence field, else its classifiers."""
    classifiers = metadata.metadata(name).get_all("Classifier") or []
    by_classifier = "; ".join(line for line in classifiers if line.startswith("License ::"))
    return field(name, "License-Expression") or field(name, "License") or by_classifier


def bundled_libraries() -> dict[str, str]:
    """Shared library in a wheel → package, without hash and version in the file name."""
    return {
        re.sub(r"(-[0-9a-f]{8})*(\.so.*|[.0-9]*\.dylib)$", "", path.name): requirement.name
        for requirement in installed_here()
        for path in metadata.files(requirement.name) or []
        if path.parent.name.endswith((".libs", ".dylibs"))
    }


def own_packages() -> dict[str, dict[str, Any]]:
    projects = [tomllib.loads(path.read_text())["project"] for path in PYPROJECTS]
    return {project["name"]: project for project in projects}


def test_every_locked_package_is_listed_and_no_other():
    assert sorted(table()) == sorted({requirement.name for requirement in locked()})


@pytest.mark.parametrize("requirement", locked(), ids=str)
def test_the_listed_versions_include_the_locked_one(requirement: Requirement):
    version = str(requirement.specifier).removeprefix("==")
    assert version in table()[requirement.name].versions


@pytest.mark.parametrize("name", sorted({requirement.name for requirement in installed_here()}))
def test_the_listed_licence_is_the_one_the_package_states(name: str):
    listed, expression = table()[name].licence, field(name, "License-Expression")
    if expression:
        assert listed == expression
    elif name != GPL_PACKAGE:
        # Older metadata is prose ("3-Clause BSD License"): the family must be the listed one.
        family = listed.partition("-")[0].partition(" ")[0]
        assert family in stated_licence(name)


def test_only_the_gpl_package_states_no_licence():
    assert [item.name for item in installed_here() if not stated_licence(item.name)] == [GPL_PACKAGE]


def test_only_one_package_is_under_the_gpl():
    stated = {requirement.name for requirement in installed_here() if GPL.search(stated_licence(requirement.name))}
    listed = {name for name, row in table().items() if GPL.search(row.licence)}
    assert stated | listed == {GPL_PACKAGE}


@pytest.mark.parametrize(
    ("licence", "is_gpl"),
    [
        ("GPL-3.0-or-later", True),
        ("AGPL-3.0-only", True),
        ("License :: OSI Approved :: GNU General Public License v2 (GPLv2)", True),
        ("MIT AND GPL-2.0-only", True),
        ("LGPL-2.1-or-later", False),
        ("License :: OSI Approved :: GNU Lesser General Public License v3 (LGPLv3)", False),
        ("GPL-3.0-or-later WITH GCC-exception-3.1", False),
        ("BSD-3-Clause", False),
    ],
)
def test_the_gpl_is_recognised_by_its_names(licence: str, is_gpl: bool):
    assert bool(GPL.search(licence)) is is_gpl


def test_every_library_bundled_in_a_wheel_is_listed():
    listed = set(re.findall(r"lib[\w+-]+", section("Libraries inside the packages")))
    assert {library: by for library, by in bundled_libraries().items() if library not in listed} == {}


def test_every_fetched_model_is_listed_with_its_licence():
    models = tomllib.loads((ROOT / "models.lock").read_text())["model"]
    rows = section("Models and recordings").splitlines()
    for model in models:
        assert any(row.startswith(f"| {model['name']} ") and f"| {model['licence']}" in row for row in rows), model


def test_all_own_packages_but_the_espeak_worker_are_apache_licensed():
    licences = {name: project.get("license") for name, project in own_packages().items()}
    assert licences.pop(GPL_USER) == "GPL-3.0-or-later"
    assert set(licences.values()) == {"Apache-2.0"}


def test_only_an_optional_extra_requires_the_gpl_package():
    needs = {name: " ".join(project.get("dependencies", [])) for name, project in own_packages().items()}
    assert [name for name, need in needs.items() if GPL_PACKAGE in need] == [GPL_USER]
    assert [name for name, need in needs.items() if GPL_USER in need] == []


def test_only_the_worker_loads_espeak():
    sources = [path for pyproject in PYPROJECTS for path in (pyproject.parent / "src").rglob("*.py")]
    load = re.compile(r"^\s*(import|from) espeakng_loader", re.MULTILINE)
    loading = {path for path in sources if load.search(path.read_text())}
    assert {path.parent.name for path in loading} == {"espeak_worker"}


def test_every_npm_package_in_the_page_is_listed() -> None:
    lock = json.loads((ROOT / "web/package-lock.json").read_text())["packages"]
    shipped = {
        path.removeprefix("node_modules/"): (package["version"], package["license"].strip("()"))
        for path, package in lock.items()
        if path.startswith("node_modules/") and not (package.get("dev") or package.get("link"))
    }
    rows = re.findall(r"^\| (@?[a-z0-9/-]+) \| ([0-9.]+) \| ([^|]+) \| [^|]+ \|$", section("In the page"), re.MULTILINE)
    assert {name: (version, licence.strip()) for name, version, licence in rows} == shipped
