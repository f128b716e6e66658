"""The web page: plain files, served as they are, that may load nothing from anywhere else."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse
from service_kit.errors import InvalidRequest

_MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_POLICY = (
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "connect-src 'self'",
    "img-src 'self' data:",
    "media-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
)
HEADERS = {
    "Content-Security-Policy": "; ".join(_POLICY),
    "X-Content-Type-Options": "nosniff",
    # The page's address may hold a token.
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    # A page of one version must never meet a script of another.
    "Cache-Control": "no-store",
}


def page_routes(web_dir: Path) -> APIRouter:
    """A route for every file of the page in `web_dir`, and `/` for its `index.html`.

    Only files that are there now and of a known type are served, each by its own route, so that no path of a
    request is ever looked up. Raises `InvalidRequest` when there is no page.
    """
    index = web_dir / "index.html"
    if not index.is_file():
        raise InvalidRequest("page.missing", f"no web page in {web_dir}")
    router = APIRouter(include_in_schema=False)
    _serve(router, "/", index)
    for file in sorted(web_dir.iterdir()):
        if file.suffix in _MEDIA_TYPES and file.is_file() and file != index:
            _serve(router, f"/{file.name}", file)
    return router


def _serve(router: APIRouter, path: str, file: Path) -> None:
    async def get_file() -> FileResponse:
        return FileResponse(file, media_type=_MEDIA_TYPES[file.suffix], headers=HEADERS)

    router.add_api_route(path, get_file, methods=["GET", "HEAD"], response_class=FileResponse)
