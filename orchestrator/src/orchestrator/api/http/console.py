"""The web console: serves its built files, under a content security policy that forbids foreign resources."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse, HTMLResponse

_MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}
_CONTENT_SECURITY_POLICY = (
    "default-src 'none'",
    "script-src 'self'",
    "worker-src 'self'",
    "style-src 'self'",
    "font-src 'self'",
    "connect-src 'self'",
    "img-src 'self' data:",
    "media-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
)
HEADERS = {
    "Content-Security-Policy": "; ".join(_CONTENT_SECURITY_POLICY),
    "X-Content-Type-Options": "nosniff",
    # The page's URL may contain a token.
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    # Prevents a page of one version from loading a script of another.
    "Cache-Control": "no-store",
}
# Files named by a hash of their content never change.
_HASHED = re.compile(r"-[\w-]{8}\.\w+$")
_CACHE_FOREVER = "public, max-age=31536000, immutable"
_NOT_BUILT = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>AI Anchor</title>
<h1>The web console is not built yet</h1>
<p>Run <code>make web</code> in the project's folder (Node.js 20.19 or later), then start the orchestrator again.
<p>Everything else is running: the WebSocket, REST and gRPC APIs work without the console.
</html>
"""

log = logging.getLogger(__name__)


def console_routes(web_dir: Path) -> APIRouter:
    """Return a router with one route for each file in `web_dir`, and `/` for its `index.html`.

    Only files of a known type that exist now are served, each by its own route, so that no request path is ever
    looked up on disk. Without an `index.html`, `/` explains how to build the console.
    """
    router = APIRouter(include_in_schema=False)
    index = web_dir / "index.html"
    if not index.is_file():
        log.warning("web console is not built: run make web", extra={"web_dir": str(web_dir)})
        _serve_notice(router)
        return router
    _serve(router, "/", index, HEADERS)
    for file in sorted((*web_dir.iterdir(), *(web_dir / "assets").glob("*"))):
        if file.suffix in _MEDIA_TYPES and file.is_file() and file != index:
            has_hashed_name = file.parent != web_dir and _HASHED.search(file.name)
            headers = HEADERS | {"Cache-Control": _CACHE_FOREVER} if has_hashed_name else HEADERS
            _serve(router, f"/{file.relative_to(web_dir).as_posix()}", file, headers)
    return router


def _serve(router: APIRouter, path: str, file: Path, headers: Mapping[str, str]) -> None:
    async def get_file() -> FileResponse:
        return FileResponse(file, media_type=_MEDIA_TYPES[file.suffix], headers=headers)

    router.add_api_route(path, get_file, methods=["GET", "HEAD"], response_class=FileResponse)


def _serve_notice(router: APIRouter) -> None:
    async def get_notice() -> HTMLResponse:
        return HTMLResponse(_NOT_BUILT, status_code=503, headers=HEADERS)

    router.add_api_route("/", get_notice, methods=["GET", "HEAD"], response_class=HTMLResponse)
