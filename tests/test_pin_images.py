"""`make pin-images` against a docker command that plays the registry, and Compose with what it wrote."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from compose_config import NO_FILE, PROJECT, compose_config

TOOL = Path("tools/images/pin_images.py")
# Plays `docker buildx imagetools inspect` of a registry, and `docker compose config`. Writes down what it is asked.
DOCKER = """#!{python}
import hashlib, json, os, pathlib, sys
folder = pathlib.Path({folder!r})
with (folder / "asked").open("a") as asked:
    print(*sys.argv[1:], file=asked)
if sys.argv[1] == "compose":
    print((folder / "config.json").read_text())
elif sys.argv[4] in os.environ.get("MISSING", "").split():
    sys.exit(f"ERROR: {{sys.argv[4]}}: not found")
else:
    digest = "latest" if sys.argv[4] in os.environ.get("BROKEN", "").split() else (
        "sha256:" + hashlib.sha256((sys.argv[4] + os.environ.get("SALT", "")).encode()).hexdigest()
    )
    print(json.dumps({{"mediaType": "application/vnd.oci.image.index.v1+json", "digest": digest, "size": 1}}))
"""
DOCKERFILE = """
FROM --platform=$BUILDPLATFORM python:3.12-slim AS build
FROM build AS tested
FROM scratch AS nothing
FROM debian:12@sha256:{digest}
COPY --from=build /a /a
COPY --chown=1:1 --from=busybox:1.37 /b /b
COPY --from=0 /c /c
"""


def digest_of(image: str, salt: str = "") -> str:
    return f"{image}@sha256:{hashlib.sha256((image + salt).encode()).hexdigest()}"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of three services: one built, one that runs the built image, one of a registry."""
    folder = tmp_path / "project"
    (folder / "service").mkdir(parents=True)
    (folder / TOOL.parent).mkdir(parents=True)
    shutil.copy(PROJECT / TOOL, folder / TOOL)
    shutil.copy(PROJECT / "Makefile", folder / "Makefile")
    (folder / "service/Dockerfile").write_text(DOCKERFILE.format(digest="0" * 64))
    services = {
        "built": {"image": "own:local", "build": {"context": str(folder), "dockerfile": "service/Dockerfile"}},
        "again": {"image": "own:local"},
        "proxy": {"image": "caddy:2.11.4"},
        "pinned": {"image": digest_of("caddy:1")},
    }
    (tmp_path / "config.json").write_text(json.dumps({"services": services}))
    (tmp_path / "docker").write_text(DOCKER.format(python=sys.executable, folder=str(tmp_path)))
    (tmp_path / "docker").chmod(0o755)
    return folder


def make(project: Path, target: str, **environment: str) -> subprocess.CompletedProcess[str]:
    path = {"PATH": f"{project.parent}:{os.environ['PATH']}", "HOME": str(project.parent)}
    command = ["make", "--no-print-directory", f"PYTHON={sys.executable}", target]
    return subprocess.run(
        command, cwd=project, env=path | environment, capture_output=True, text=True, timeout=60, check=False
    )


def pinned(project: Path) -> dict[str, Any]:
    text = (project / "compose.pinned.yaml").read_text()
    return json.loads(text.partition("\n")[2])["services"]


def asked(project: Path) -> str:
    return (project.parent / "asked").read_text()


def test_images_and_bases_get_the_digest_of_the_registry(project: Path) -> None:
    done = make(project, "pin-images")
    assert done.returncode == 0, done.stderr
    contexts = {image: f"docker-image://{digest_of(image)}" for image in ("busybox:1.37", "python:3.12-slim")}
    assert pinned(project) == {
        "built": {"build": {"additional_contexts": contexts}},
        "proxy": {"image": digest_of("caddy:2.11.4")},
    }
    assert digest_of("caddy:2.11.4") in done.stdout
    make(project, "pin-images", SALT="newer")
    assert pinned(project)["proxy"] == {"image": digest_of("caddy:2.11.4", "newer")}


@pytest.mark.parametrize(
    ("environment", "said"), [({"MISSING": "caddy:2.11.4"}, "not found"), ({"BROKEN": "caddy:2.11.4"}, "no digest of")]
)
def test_a_digest_that_is_missing_changes_nothing(project: Path, environment: dict[str, str], said: str) -> None:
    make(project, "pin-images")
    before = pinned(project)
    failed = make(project, "pin-images", SALT="newer", **environment)
    assert failed.returncode != 0
    assert "caddy:2.11.4" in failed.stderr
    assert said in failed.stderr
    assert "busybox" not in failed.stderr
    assert pinned(project) == before
    assert not (project / "compose.pinned.yaml.new").exists()


def test_make_uses_the_pinned_images_where_they_are(project: Path) -> None:
    make(project, "up")
    assert asked(project) == "compose up --build --wait --detach\n"
    make(project, "pin-images")
    (project.parent / "asked").unlink()
    assert make(project, "up").returncode == 0
    files = "compose --file compose.yaml --file compose.pinned.yaml"
    assert asked(project).endswith(f"\n{files} up --build --wait --detach\n")
    make(project, "down")
    assert asked(project).endswith(f"\n{files} --profile * down\n")
    (project / ".env").write_text("COMPOSE_FILE=compose.yaml:mine.yaml\n")
    make(project, "logs")
    assert asked(project).endswith("\ncompose logs --follow --tail 100\n")


def test_outdated_pins_are_refused_before_the_start(project: Path) -> None:
    make(project, "pin-images")
    config = project.parent / "config.json"
    config.write_text(config.read_text().replace("caddy:2.11.4", "caddy:2.12.0"))
    (project.parent / "asked").unlink()
    refused = make(project, "up")
    assert refused.returncode != 0
    assert "does not pin the images that are named now" in refused.stderr
    assert " up " not in asked(project)
    (project / "compose.pinned.yaml").write_text("services: []")
    assert "run `make pin-images`" in make(project, "up").stderr


def test_a_base_that_only_the_build_knows_is_refused(project: Path) -> None:
    (project / "service/Dockerfile").write_text("ARG BASE=python:3.12\nFROM ${BASE}\n")
    refused = make(project, "pin-images")
    assert (refused.returncode != 0, "${BASE}" in refused.stderr) == (True, True)


@pytest.mark.parametrize("profile", ["embedded", "gpu"])
def test_compose_takes_every_image_of_this_project_by_digest(project: Path, profile: str) -> None:
    def render(*files: Path) -> dict[str, Any]:
        settings = {"ANCHOR_PROFILE": profile, "COMPOSE_PROFILES": "*"}
        return json.loads(compose_config(NO_FILE, "--format=json", files=files, **settings))["services"]

    before = render()
    (project.parent / "config.json").write_text(json.dumps({"services": before}))
    assert make(project, "pin-images").returncode == 0
    after = render(project / "compose.pinned.yaml")
    own = {service["image"] for service in before.values() if service.get("build")}
    for name, service in before.items():
        if service.get("build"):
            dockerfile = Path(service["build"]["context"], service["build"]["dockerfile"]).read_text("utf-8")
            contexts = after[name]["build"].pop("additional_contexts")
            assert set(contexts.values()) == {f"docker-image://{digest_of(image)}" for image in contexts}
            named = {line.split()[1] for line in dockerfile.splitlines() if line.startswith("FROM ")}
            assert {image for image in named if ":" in image} == set(contexts), name
        elif service["image"] not in own:
            assert after[name].pop("image") == digest_of(service.pop("image")), name
    assert after == before
