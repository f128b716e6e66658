"""Lists the files of a hub repository, for models whose files `models.lock` does not name."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

import httpx
from service_kit.engines.hub import MOVING, SUFFIXES, HubFile, HubModel
from service_kit.errors import EngineFailed, PeerFailed

from anchor_cli.model_store.download import advice, describe_error

# A listing of a thousand files has about 50 kB; a model repository has a few dozen files.
_MAX_BODY_BYTES = 1 << 20
_MAX_FILES = 64


def list_files(client: httpx.Client, hub_url: str, model: HubModel) -> HubModel:
    """`model` with its repository's current files and their commit.

    Includes only files in the model's own folder with an allowed suffix (weights and configuration). Raises
    `PeerFailed` when the hub does not respond, `EngineFailed` for an invalid listing.
    """
    url = f"{hub_url.rstrip('/')}/api/models/{model.repository}/revision/{model.revision}"
    try:
        with client.stream("GET", url) as response:
            if response.is_error:
                raise PeerFailed("models.not_fetched", f"HTTP {response.status_code} at {url}{advice(response)}")
            body = b""
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > _MAX_BODY_BYTES:
                    raise _bad_listing(url, f"it exceeds {_MAX_BODY_BYTES} bytes")
    except httpx.HTTPError as error:
        raise PeerFailed("models.not_fetched", f"cannot list {url}: {describe_error(error)}") from error
    try:
        listing: dict[str, Any] = json.loads(body)
        folder = f"{model.subfolder}/" if model.subfolder else ""
        listed = [entry["rfilename"] for entry in listing["siblings"]]
        paths = sorted(name for path in listed if path.startswith(folder) and _is_wanted(name := path[len(folder) :]))
        files = tuple(HubFile(path, "", 0) for path in paths[: _MAX_FILES + 1])
        found = replace(model, revision=listing["sha"], files=files)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _bad_listing(url, repr(error)) from error
    if not 0 < len(files) <= _MAX_FILES or found.revision == MOVING:
        raise _bad_listing(url, f"it has {len(paths)} model files at revision {found.revision}")
    return found


def _is_wanted(path: str) -> bool:
    return "/" not in path and PurePosixPath(path).suffix in SUFFIXES


def _bad_listing(url: str, reason: str) -> EngineFailed:
    return EngineFailed("models.bad_listing", f"invalid file listing at {url}: {reason}")
