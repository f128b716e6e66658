"""What a hub says of a repository: its files, with sizes and hashes, its commit, and whether it is gated.

The hub's API gives the SHA-256 of files that are stored with Git LFS, and the hash of the Git blob of all others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

import httpx
from service_kit.engines.hub import SUFFIXES, HubFile, HubModel
from service_kit.errors import EngineFailed, PeerFailed

from anchor_cli.model_store.refusals import describe_error, refused

# An entry with its hashes has about 300 bytes; the largest repository, that of Piper's voices, has a few thousand.
_MAX_BODY_BYTES = 4 << 20
_MAX_FILES = 64
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class ListedFile:
    """A file as the hub describes it; `size_bytes` 0 and empty hashes where it does not say.

    `git_sha1` is the hash of a Git blob with its content. The blob of a file in LFS is not its content, so it is empty.
    """

    size_bytes: int
    sha256: str
    git_sha1: str


@dataclass(frozen=True, slots=True)
class Listing:
    """One revision of a repository."""

    commit: str
    gated: bool
    files: Mapping[str, ListedFile]


def read_listing(client: httpx.Client, hub_url: str, repository: str, revision: str) -> Listing:
    """Ask the hub for the files of a repository.

    Raises `PeerFailed` when the hub does not respond or refuses, `EngineFailed` for an invalid listing.
    """
    url = f"{hub_url.rstrip('/')}/api/models/{repository}/revision/{revision}"
    try:
        with client.stream("GET", url, params={"blobs": "true"}) as response:
            if response.is_error:
                raise refused(response, hub_url, repository, url)
            body = b""
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > _MAX_BODY_BYTES:
                    raise _bad_listing(url, f"it exceeds {_MAX_BODY_BYTES} bytes")
    except httpx.HTTPError as error:
        raise PeerFailed("models.not_fetched", f"cannot list {url}: {describe_error(error)}") from error
    try:
        said: dict[str, Any] = json.loads(body)
        commit, gated = said["sha"], bool(said.get("gated"))
        files = {str(entry["rfilename"]): _listed(entry) for entry in said["siblings"]}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _bad_listing(url, repr(error)) from error
    if not isinstance(commit, str) or not _COMMIT.fullmatch(commit):
        raise _bad_listing(url, f"its commit is {commit!r}")
    return Listing(commit, gated, files)


def files_of(model: HubModel, listing: Listing) -> HubModel:
    """`model` with the files of its folder in the repository, at the listing's commit.

    Includes only files with an allowed suffix (weights and configuration). Raises `EngineFailed` when there are none,
    or more than a model has.
    """
    folder = f"{model.subfolder}/" if model.subfolder else ""
    names = sorted(
        name for path in listing.files if path.startswith(folder) and _is_wanted(name := path[len(folder) :])
    )
    if not 0 < len(names) <= _MAX_FILES:
        raise _bad_listing(model.repository, f"it has {len(names)} model files at revision {listing.commit}")
    try:
        return replace(model, revision=listing.commit, files=tuple(HubFile(name) for name in names))
    except ValueError as error:
        raise _bad_listing(model.repository, str(error)) from error


def _listed(entry: Mapping[str, Any]) -> ListedFile:
    lfs, size = entry.get("lfs"), entry.get("size") or 0
    sha256 = str(lfs["sha256"]) if lfs else ""
    git_sha1 = "" if lfs else str(entry.get("blobId") or "")
    if not isinstance(size, int) or size < 0:
        raise ValueError(f"size {size!r}")
    if (sha256 and not _SHA256.fullmatch(sha256)) or (git_sha1 and not _COMMIT.fullmatch(git_sha1)):
        raise ValueError(f"{entry['rfilename']!r} has a hash that is none")
    return ListedFile(size, sha256, git_sha1)


def _is_wanted(path: str) -> bool:
    return "/" not in path and PurePosixPath(path).suffix in SUFFIXES


def _bad_listing(url: str, reason: str) -> EngineFailed:
    return EngineFailed("models.bad_listing", f"invalid file listing at {url}: {reason}")
