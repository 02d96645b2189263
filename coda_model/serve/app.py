"""The HTTP service as an ASGI application: who may ask, what is asked, and the streamed answer."""

import asyncio
import hmac
import ipaddress

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from coda_model import engine_request
from coda_model.engine import Engine
from coda_model.errors import CodaError, InputError
from coda_model.serve.schema import event_line, parse_infill

MAX_BODY_BYTES = 8 * 2**20
# A client that is still sending can't read the refusal, and closing on it would lose the refusal: swallow some more.
MAX_SWALLOWED_BYTES = 64 * 2**20


def create_app(engine: Engine, token: str, local_only: bool) -> ASGIApp:
    """Make the application. With `local_only`, only requests addressed to a loopback name are answered."""

    async def health(_: Request) -> Response:
        status, reason = engine.status()
        return JSONResponse({"status": status, "reason": reason})

    async def info(_: Request) -> Response:
        _require_ready(engine)
        return JSONResponse(engine.info())

    async def infill(request: Request) -> Response:
        body = await _read_body(request)
        _require_ready(engine)
        return EventStream(engine.submit(*parse_infill(body)))

    routes = [
        Route("/v1/health", health, methods=["GET"]),
        Route("/v1/info", info, methods=["GET"]),
        Route("/v1/infill", infill, methods=["POST"]),
    ]
    return Gate(Starlette(routes=routes, exception_handlers=dict.fromkeys(_HANDLED, _answer_error)), token, local_only)


class Gate:
    """Turn away what carries no valid token and, with `local_only`, what a web page sent through DNS rebinding."""

    def __init__(self, app: ASGIApp, token: str, local_only: bool) -> None:
        self._app = app
        self._authorization = f"Bearer {token}".encode()
        self._local_only = local_only

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        app = self._app
        if self._local_only and not names_loopback(headers.get(b"host", b"").decode("latin-1")):
            app = _error(403, "The Host header must name this machine's loopback address.")
        elif not hmac.compare_digest(headers.get(b"authorization", b""), self._authorization):
            app = _error(401, "The Authorization header must be Bearer and the engine's token.")
            app.headers["WWW-Authenticate"] = "Bearer"
        await app(scope, receive, send)


class EventStream(Response):
    """A request's events as JSON lines; a closed connection cancels the request."""

    media_type = "application/x-ndjson"

    def __init__(self, request: engine_request.Request) -> None:
        super().__init__(headers={"Cache-Control": "no-store"})
        del self.headers["Content-Length"]
        self._request = request

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        watcher = asyncio.create_task(self._cancel_on_disconnect(receive))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            async for event in self._request.events():
                await send({"type": "http.response.body", "body": event_line(event), "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._request.cancel()
            watcher.cancel()

    async def _cancel_on_disconnect(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._request.cancel()


def names_loopback(host: str) -> bool:
    """Say whether a Host header or an address is this machine's own: `localhost:80`, `127.0.0.1`, `[::1]:80`, `::1`."""
    if host.startswith("["):
        name = host[1:].partition("]")[0]
    elif host.count(":") > 1:
        name = host
    else:
        name = host.partition(":")[0]
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name.lower() == "localhost"


async def _read_body(request: Request) -> bytes:
    """Read the body piece by piece, so that one too large is never held. Raises HTTPException 413."""
    body = bytearray()
    swallowed = 0
    async for piece in request.stream():
        swallowed += len(piece)
        if swallowed <= MAX_BODY_BYTES:
            body += piece
        elif swallowed > MAX_SWALLOWED_BYTES:
            break
        else:
            body.clear()
    if swallowed > MAX_BODY_BYTES:
        raise HTTPException(413, f"The body is larger than {MAX_BODY_BYTES // 2**20} MB.")
    return bytes(body)


def _require_ready(engine: Engine) -> None:
    status, reason = engine.status()
    if status != "ready":
        raise HTTPException(503, reason or "The model is still loading; GET /v1/health says when it is ready.")


def _answer_error(_: Request, error: Exception) -> Response:
    match error:
        case HTTPException():
            return _error(error.status_code, error.detail)
        case InputError():
            return _error(400, str(error))
        case ClientDisconnect():
            return _error(400, "The connection was closed before the body ended.")
        case _:  # a CodaError: the engine can't take the request now
            return _error(503, str(error))


_HANDLED = (HTTPException, InputError, ClientDisconnect, CodaError)


def _error(status: int, message: str) -> Response:
    return JSONResponse({"error": message}, status)
