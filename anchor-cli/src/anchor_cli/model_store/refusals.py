"""Why a hub refuses a request, and what helps: gated repositories, missing files, wrong tokens."""

from __future__ import annotations

from http import HTTPStatus

import httpx
from service_kit.errors import PeerFailed

# The hub's reason, in a header of its refusals.
_REASON = "x-error-code"
_GATED = "GatedRepo"
_MISSING = {
    "EntryNotFound": "the repository has no such file at this revision",
    "RevisionNotFound": "the repository has no such revision",
    "RepoNotFound": "there is no such repository, or it is not open to this token",
}


def refused(response: httpx.Response, hub_url: str, repository: str, url: str) -> PeerFailed:
    """The error for a response that refuses a request about `repository`, with what helps."""
    reason = response.headers.get(_REASON, "")
    if reason == _GATED or (not reason and response.status_code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)):
        has_token = "authorization" in _first_request(response).headers
        return PeerFailed("models.gated", gated_message(hub_url, repository, has_token=has_token))
    if not reason and response.status_code == HTTPStatus.NOT_FOUND:
        reason = "EntryNotFound"
    advice = f": {_MISSING[reason]}" if reason in _MISSING else ""
    return PeerFailed("models.not_fetched", f"HTTP {response.status_code} at {url}{advice}")


def gated_message(hub_url: str, repository: str, *, has_token: bool) -> str:
    """How to get the files of a gated repository."""
    hub = hub_url.rstrip("/")
    accept = f"accept its terms at {hub}/{repository}"
    if has_token:
        return (
            f"{repository} is gated, and the account of your token may not read it: {accept} with that account (some "
            "publishers then decide by hand), and give the token the right to read gated repositories"
        )
    return (
        f"{repository} is gated: {accept}, make a token that may read at {hub}/settings/tokens, and set "
        "ANCHOR_MODELS_HUB_TOKEN in .env"
    )


def describe_error(error: Exception) -> str:
    """The error's message, or its type when it has none."""
    return str(error) or type(error).__name__


def _first_request(response: httpx.Response) -> httpx.Request:
    return response.history[0].request if response.history else response.request
