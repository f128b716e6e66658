"""Which files a hub's repository has, where `models.lock` does not say: how many there are of large weights varies."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

import httpx
from service_kit.engines.hub import MOVING, SUFFIXES, HubFile, HubModel
from service_kit.errors import EngineFailed, PeerFailed

from anchor_cli.model_store.download import advice

# A list of a thousand files takes some 50 kB; a repository of a model has a few dozen.
_MOST_BYTES = 1 << 20
_MOST_FILES = 64


def listed(client: httpx.Client, hub_url: str, model: HubModel) -> HubModel:
    """`model` with the files that its repository has now, at the commit that they are of.

    Of its top folder, those whose names promise numbers and configuration. Raises `PeerFailed` for a hub that does not
    answer, `EngineFailed` for a list that makes no sense.
    """
    url = f"{hub_url.rstrip('/')}/api/models/{model.repository}/revision/{model.revision}"
    try:
        with client.stream("GET", url) as response:
            if response.is_error:
                raise PeerFailed("models.not_fetched", f"HTTP {response.status_code} at {url}{advice(response)}")
            body = b""
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > _MOST_BYTES:
                    raise _senseless(url, "it is longer than any list")
    except httpx.HTTPError as error:
        reason = str(error) or type(error).__name__
        raise PeerFailed("models.not_fetched", f"cannot ask {url} for its files: {reason}") from error
    try:
        told: dict[str, Any] = json.loads(body)
        paths = sorted(path for entry in told["siblings"] if _is_wanted(path := entry["rfilename"]))
        files = tuple(HubFile(path, "", 0) for path in paths[: _MOST_FILES + 1])
        found = replace(model, revision=told["sha"], files=files)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _senseless(url, repr(error)) from error
    if not 0 < len(files) <= _MOST_FILES or found.revision == MOVING:
        raise _senseless(url, f"{len(paths)} files of a model at {found.revision}")
    return found


def _is_wanted(path: str) -> bool:
    return "/" not in path and PurePosixPath(path).suffix in SUFFIXES


def _senseless(url: str, reason: str) -> EngineFailed:
    return EngineFailed("models.bad_listing", f"what {url} says is no list of a model's files: {reason}")
