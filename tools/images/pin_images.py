"""Pins every image of the containers by its digest: writes compose.pinned.yaml, an override of compose.yaml.

The images that compose.yaml names get their digest. The base images of the Dockerfiles keep their tags there; the
override replaces them by named build contexts of the same name (`docker-image://NAME@DIGEST`). With `--check`, nothing
is written: the override must pin what is named now. Needs the docker command, and for the digests the registry.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PINNED = "compose.pinned.yaml"
HEADING = "# Written by `make pin-images`: the images of compose.yaml and of the Dockerfiles, by digest."
TIMEOUT_S = 120
_FROM = re.compile(
    r"^FROM\s+(?:--platform=\S+\s+)?(?P<image>\S+)(?:\s+AS\s+(?P<stage>\S+))?\s*$", re.IGNORECASE | re.MULTILINE
)
_COPY = re.compile(r"^COPY\s.*--from=(?P<image>\S+)", re.IGNORECASE | re.MULTILINE)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_CONTEXT = "docker-image://"


class PinningFailed(Exception):
    """Something keeps the images from being pinned; the message says what."""


def read_services(root: Path) -> dict[str, dict[str, Any]]:
    """The services of compose.yaml in all profiles, as Compose renders them. Raises `PinningFailed`."""
    command = ["compose", "--file", str(root / "compose.yaml"), "--profile", "*", "config", "--format", "json"]
    return json.loads(run_docker(command, root))["services"]


def run_docker(arguments: list[str], folder: Path) -> str:
    """The output of the docker command. Raises `PinningFailed` with what it says."""
    try:
        done = subprocess.run(
            ["docker", *arguments], cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except FileNotFoundError as error:
        raise PinningFailed("the docker command is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise PinningFailed(f"docker {arguments[0]} took more than {TIMEOUT_S} s") from error
    if done.returncode != 0:
        raise PinningFailed(done.stderr.strip() or f"docker {arguments[0]} ended with {done.returncode}")
    return done.stdout


def base_images(dockerfile: str) -> set[str]:
    """The images that a Dockerfile is built on or copies from. Raises `PinningFailed` for a variable in a name."""
    stages: set[str] = {"scratch"}
    images: set[str] = set()
    for found in _FROM.finditer(dockerfile):
        if found["image"].lower() not in stages:
            images.add(found["image"])
        stages.add((found["stage"] or "").lower())
    copied = {found["image"] for found in _COPY.finditer(dockerfile)}
    images |= {image for image in copied if image.lower() not in stages and not image.isdecimal()}
    if variable := next((image for image in sorted(images) if "$" in image), None):
        raise PinningFailed(f"the image {variable} of a Dockerfile is not known before the build")
    return {image for image in images if "@" not in image}


def named_images(services: Mapping[str, Mapping[str, Any]]) -> dict[str, set[str]]:
    """The images without a digest, by service: the one that it runs, or those that it is built on."""
    named: dict[str, set[str]] = {}
    for name, service in services.items():
        build = service.get("build")
        if build is not None:
            path = Path(build["context"]) / build.get("dockerfile", "Dockerfile")
            try:
                images = base_images(path.read_text("utf-8"))
            except OSError as error:
                raise PinningFailed(f"cannot read {path}: {error.strerror}") from error
        else:
            image = service["image"]
            # Built for another service.
            is_built = any(each.get("build") and each["image"] == image for each in services.values())
            images = set() if is_built or "@" in image else {image}
        if images:
            named[name] = images
    return named


def resolve(image: str, folder: Path) -> str:
    """The digest that the registry has for an image now. Raises `PinningFailed`."""
    answer = run_docker(["buildx", "imagetools", "inspect", image, "--format", "{{json .Manifest}}"], folder)
    try:
        digest = str(json.loads(answer)["digest"])
    except (ValueError, KeyError, TypeError):
        digest = ""
    if _DIGEST.fullmatch(digest) is None:
        raise PinningFailed(f"the registry gave no digest of {image}")
    return digest


def override(services: Mapping[str, Mapping[str, Any]], digests: Mapping[str, str]) -> dict[str, Any]:
    """The content of the override."""
    pinned: dict[str, Any] = {}
    for name, images in sorted(named_images(services).items()):
        references = {image: f"{image}@{digests[image]}" for image in sorted(images)}
        if services[name].get("build") is None:
            (pinned_image,) = references.values()
            pinned[name] = {"image": pinned_image}
        else:
            contexts = {image: _CONTEXT + reference for image, reference in references.items()}
            pinned[name] = {"build": {"additional_contexts": contexts}}
    return {"services": pinned}


def pin(root: Path) -> dict[str, str]:
    """Resolve every image and write the override, or nothing; returns the digests. Raises `PinningFailed`."""
    services = read_services(root)
    digests: dict[str, str] = {}
    failures: list[str] = []
    for image in sorted(set[str]().union(*named_images(services).values())):
        try:
            digests[image] = resolve(image, root)
        except PinningFailed as error:
            failures.append(f"{image}: {error}")
    if failures:
        raise PinningFailed("\n".join(failures))
    draft = root / f"{PINNED}.new"
    # JSON is YAML, and needs no package to be written.
    draft.write_text(f"{HEADING}\n{json.dumps(override(services, digests), indent=2)}\n", "utf-8")
    draft.replace(root / PINNED)
    return digests


def check(root: Path) -> None:
    """Raise `PinningFailed` unless the override pins the images that are named now."""
    try:
        lines = (root / PINNED).read_text("utf-8").splitlines()
        pinned = json.loads("\n".join(line for line in lines if not line.startswith("#")))
        digests = dict(_pinned_references(pinned["services"].values()))
        wanted = override(read_services(root), digests)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        wanted, pinned = None, error
    if wanted != pinned:
        raise PinningFailed(f"{PINNED} does not pin the images that are named now: run `make pin-images`, or remove it")


def _pinned_references(services: Iterable[Mapping[str, Any]]) -> Iterable[tuple[str, str]]:
    for service in services:
        contexts = service.get("build", {}).get("additional_contexts", {})
        for reference in (service.get("image", ""), *contexts.values()):
            image, _, digest = reference.removeprefix(_CONTEXT).partition("@")
            if _DIGEST.fullmatch(digest):
                yield image, digest


def main() -> int:
    """Pin or check the images, and say so."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="only check that the override is up to date")
    try:
        if parser.parse_args().check:
            check(ROOT)
            return 0
        digests = pin(ROOT)
    except PinningFailed as error:
        print(error, file=sys.stderr)
        return 1
    for image, digest in digests.items():
        print(f"{image}@{digest}")
    print(f"{len(digests)} images are pinned in {PINNED}; `make up` uses it, and Compose where COMPOSE_FILE names it.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
