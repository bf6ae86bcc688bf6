"""The addresses of a server: what each takes and gives."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from zoo.serving import measures
from zoo.serving.addresses import AllowList
from zoo.serving.download import download
from zoo.serving.film_file import FilmFile
from zoo.serving.pages import Page, front_page, reference_page
from zoo.serving.refusal import Refusal
from zoo.serving.request_log import RequestLog
from zoo.serving.service import Service
from zoo.serving.upload import FORM, JSON, media_type, receive_address, receive_film, refuse_large_claim
from zoo_registry import __version__

log = logging.getLogger("zoo.serving")


class Seconds(BaseModel):
    """What an answer took, by stage."""

    receive: float = Field(description="until the film was there")
    wait_decoder: float = Field(description="until a process was free to decode it")
    decode: float = Field(description="reading and decoding")
    wait_model: float = Field(description="for other films, and for the model")
    inference: float = Field(description="of the model, for all films that it was asked about at once")
    total: float


class Answer(BaseModel):
    """What the model says of a film."""

    model: str = Field(description="name of the model")
    answer: dict[str, Any] = Field(
        description="as the model's task words it: for a classifier `top5`, a list of labels with scores"
    )
    seconds: Seconds


class Problem(BaseModel):
    """Why there is no answer."""

    error: str


class Ready(BaseModel):
    """Whether films are answered."""

    ready: bool
    queue: int = Field(description="requests uploading, waiting or being answered")
    capacity: int = Field(description="how many there may be; the next gets a 429")


class Model(BaseModel):
    """What answers."""

    name: str
    labels: list[str]
    clip: dict[str, Any] | None = Field(description="what the model looks at of a film")
    audio: dict[str, Any] | None
    views: int = Field(description="clips of each film; their answers are merged")
    licence: str | None = Field(description="SPDX identifier of the weights")
    metrics: dict[str, float | None] = Field(description="measured, or claimed by the publisher")
    structure: list[str] = Field(description="compression strategies that were applied, in order")
    uri: str
    limits: dict[str, int | float] = Field(description="of a film: size in bytes, duration in seconds, pixels, frames")


_REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "the request cannot be understood"},
    403: {"model": Problem, "description": "an address that this server does not fetch"},
    413: {"model": Problem, "description": "a film that is too large or too long"},
    415: {"model": Problem, "description": "no film"},
    422: {"model": Problem, "description": "a film that cannot be decoded, or not be fetched"},
    429: {"model": Problem, "description": "too many requests at a time; `Retry-After` says when to come back"},
    503: {"model": Problem, "description": "it took too long, or the server is shutting down"},
}

_FILM = {"type": "string", "format": "binary", "description": "the film"}
_BODY = {
    "required": True,
    "content": {
        FORM: {"schema": {"type": "object", "required": ["film"], "properties": {"film": _FILM}}},
        "application/octet-stream": {"schema": _FILM},
        "video/*": {"schema": _FILM},
        JSON: {
            "schema": {
                "type": "object",
                "required": ["url"],
                "additionalProperties": False,
                "properties": {"url": {"type": "string", "description": "of a host that the server was allowed"}},
            }
        },
    },
}


def make_app(service: Service, allowed: AllowList, *, title: str, views: int) -> FastAPI:
    """The application that asks a service.

    Args:
        service: answers films.
        allowed: hosts that films may be fetched from.
        title: heading of the page.
        views: as the service has them.
    """
    app = FastAPI(title=title, version=__version__, docs_url=None, redoc_url=None)  # their pages load from a CDN
    _refusals_in_json(app)
    front = front_page(title)

    @app.get("/", response_class=HTMLResponse, summary="A page to drop a film on")
    async def page() -> Response:
        return _shown(front)

    @app.post("/predict", response_model=Answer, responses=_REFUSALS, openapi_extra={"requestBody": _BODY})
    async def predict(request: Request) -> JSONResponse:
        """Say what is in a film: the file in a form or as the body, or its address as JSON."""
        served = await service.answer(_bring(request, service, allowed), lambda: _gone(request))
        request.state.note = (
            " (" + ", ".join(f"{key} {1000 * value:.0f}" for key, value in served.seconds.items()) + ")"
        )
        return JSONResponse({"model": service.model.name, "answer": served.row, "seconds": served.seconds})

    @app.get("/health", summary="Whether the server lives")
    async def health() -> dict[str, str]:
        return {"status": "alive"}

    @app.get("/ready", response_model=Ready, responses={503: {"model": Ready}}, summary="Whether films are answered")
    async def ready() -> JSONResponse:
        now = Ready(ready=service.ready, queue=service.in_work, capacity=service.limits.queue)
        return JSONResponse(now.model_dump(), 200 if now.ready else 503)

    @app.get("/metrics", summary="Measures in Prometheus' format")
    async def prometheus() -> Response:
        return Response(service.measures.page(), headers={"content-type": measures.CONTENT_TYPE})

    @app.get("/model", response_model=Model, summary="What answers")
    async def model() -> Model:
        return described

    @app.get("/docs", response_class=HTMLResponse, summary="This description, as a page")
    async def docs() -> Response:
        return _shown(reference_page(app.openapi()))

    described = _described(service, views)
    paths = frozenset(str(path) for path in app.openapi()["paths"]) | {"/openapi.json"}
    app.add_middleware(RequestLog, measures=service.measures, paths=paths)
    return app


def _shown(page: Page) -> Response:
    return HTMLResponse(page.html, headers={"content-security-policy": page.policy})


def _bring(request: Request, service: Service, allowed: AllowList) -> Any:
    """How the film of a request gets into a file; what its head says already is looked at first."""
    limits = service.limits
    refuse_large_claim(request, limits.size)

    async def by_address(film: FilmFile) -> None:
        await download(await receive_address(request, limits.stall), film, allowed, limits.size)

    async def from_body(film: FilmFile) -> None:
        await receive_film(request, film, limits)

    return by_address if media_type(request) == JSON else from_body


async def _gone(request: Request) -> None:
    """Return when the sender has left; its body was read."""
    while (await request.receive())["type"] != "http.disconnect":
        await asyncio.sleep(0)


def _described(service: Service, views: int) -> Model:
    model, limits = service.model, service.limits
    return Model(
        name=model.name,
        labels=list(model.labels),
        clip=None if model.clip is None else dict(vars(model.clip)),
        audio=None if model.audio is None else dict(vars(model.audio)),
        views=views,
        licence=model.licence,
        metrics=dict(model.metrics),
        structure=[str(step["strategy"]) for step in model.structure],
        uri=public_uri(model.uri),
        limits={
            "size": limits.size,
            "duration": limits.duration,
            "pixels": limits.pixels,
            "frames": limits.frames,
        },
    )


def public_uri(uri: str) -> str:
    """Where a model came from, unless that is a place on this machine.

    Example:
        >>> public_uri("hf://org/name@1a2b"), public_uri("file:/home/me/runs/x")
        ('hf://org/name@1a2b', '')
    """
    return uri if uri.startswith("hf://") else ""


def _refusals_in_json(app: FastAPI) -> None:
    """Every error is `{"error": "..."}`, and says nothing of the server's inside."""

    @app.exception_handler(Refusal)
    async def refused(request: Request, refusal: Refusal) -> JSONResponse:
        headers = {} if refusal.retry_after is None else {"retry-after": str(refusal.retry_after)}
        request.state.note = f" ({refusal.reason.encode('unicode_escape').decode()[:200]})"
        return JSONResponse({"error": refusal.reason}, refusal.status, headers)

    @app.exception_handler(HTTPException)
    async def unknown(request: Request, error: HTTPException) -> JSONResponse:
        return JSONResponse({"error": str(error.detail)}, error.status_code, error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return JSONResponse({"error": "the request cannot be understood"}, 400)

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> JSONResponse:
        log.error("failed on %s", request.url.path, exc_info=error)
        return JSONResponse({"error": "the server failed on this; its log says why"}, 500)
