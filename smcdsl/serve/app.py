"""The HTTP side: OpenAI's chat completions, whose choices are draws from a program's posterior.

    GET  /v1/models               the programs, as `program` and `program@model`
    POST /v1/chat/completions     {"model": "program@model", "inputs": {...}, "n": 3, "seed": 0, ...}
    GET  /health

Inputs stand in the body as `inputs` (`extra_body={"inputs": ...}` in OpenAI's client). `n` choices are drawn with the
run's seed; the whole posterior comes back under `smcdsl`. A program that a client sends (`program`) is refused unless
the server was started so.
"""

from __future__ import annotations

import hmac
import json
import re
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from smcdsl.engine import CompiledProgram, compile
from smcdsl.engine.result import Result
from smcdsl.errors import BudgetExceeded, CompileError, ModelError, NoSurvivors, PotentialError, SmcdslError, UsageError
from smcdsl.protocols import LanguageModel
from smcdsl.report.diagnostics import record
from smcdsl.report.results import View, as_json
from smcdsl.serve.programs import Served, inputs_of

MOST_BYTES = 16 << 20
"""Of a request's body."""
MOST_CHOICES = 128
SETTINGS = ("particles", "seed", "timeout", "max_tokens", "infer", "islands", "retry", "refine")
"""Settings that a client may choose; they never change what the program denotes."""
_REFUSED = ("temperature", "top_p", "response_format", "tools", "tool_choice", "logit_bias", "grammar", "guided_json")
"""What other servers take and a program says for itself: ignoring it in silence would be wrong."""

_READS_FILES = re.compile(
    r"""\bimport\s+(?:["']|potential\b)|\b(?:lark|gbnf)\s*\(|\bjson\s*\.\s*schema\s*\(|\bpy\s*\("""
)
"""What in a program's text names files; looked for in strings and comments too, which costs a few programs."""

_STATUS: tuple[tuple[type[SmcdslError], int], ...] = (
    (UsageError, 400),
    (CompileError, 400),
    (NoSurvivors, 422),
    (BudgetExceeded, 504),
    (PotentialError, 502),
    (ModelError, 503),
)


class Refused(Exception):
    """A request that is not run: an HTTP status and the reason."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Server:
    """Answers requests for what is served.

    Args:
        api_key: what clients must show; None for none.
        allow_inline: whether clients may send programs of their own.
    """

    def __init__(self, served: Served, api_key: str | None = None, *, allow_inline: bool = False) -> None:
        self.served, self.api_key, self.allow_inline = served, api_key, allow_inline

    def app(self) -> Starlette:
        """The ASGI application."""
        routes = [
            Route("/health", self.health),
            Route("/v1/models", self.models),
            Route("/v1/chat/completions", self.completions, methods=["POST"]),
        ]
        return Starlette(routes=routes)

    async def health(self, request: Request) -> Response:
        """Alive: the programs are compiled by then."""
        return JSONResponse({"status": "ok", "programs": len(self.served.programs)})

    async def models(self, request: Request) -> Response:
        """What can be asked for."""
        if (refusal := self._unauthorized(request)) is not None:
            return refusal
        rows = [{"id": name, "object": "model", "created": 0, "owned_by": "smcdsl"} for name in self.served.names()]
        return JSONResponse({"object": "list", "data": rows})

    async def completions(self, request: Request) -> Response:
        """Run a program."""
        if (refusal := self._unauthorized(request)) is not None:
            return refusal
        try:
            body = await _body(request)
            made = await run_in_threadpool(self._run, body)
        except Refused as refused:
            return _error(refused.status, str(refused), "invalid_request_error")
        except SmcdslError as error:
            status = next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
            diagnostic = error.diagnostics[0]
            return _error(status, diagnostic.message, diagnostic.code, [record(each) for each in error.diagnostics])
        return (
            StreamingResponse(_events(made), media_type="text/event-stream")
            if body.get("stream")
            else JSONResponse(made)
        )

    def _unauthorized(self, request: Request) -> Response | None:
        if self.api_key is None:
            return None
        shown = request.headers.get("authorization", "").removeprefix("Bearer ")
        if hmac.compare_digest(shown.encode(), self.api_key.encode()):
            return None
        return _error(401, "a key is needed: Authorization: Bearer KEY", "invalid_api_key")

    def _run(self, body: Mapping[str, Any]) -> dict[str, Any]:
        count = body.get("n", 1)
        if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= MOST_CHOICES:
            raise Refused(400, f"`n` is a whole number from 1 to {MOST_CHOICES}")
        given = body.get("inputs", {})
        if not isinstance(given, dict):
            raise Refused(400, "`inputs` is an object: values by name")
        program, model = self._wanted(body)
        values = inputs_of(program, given, self.served.folder)
        flags = {name: body[name] for name in SETTINGS if body.get(name) is not None}
        result = program.run(model, inputs=values, **flags)
        return completion(str(body["model"]), result, count)

    def _wanted(self, body: Mapping[str, Any]) -> tuple[CompiledProgram, LanguageModel]:
        refused = next((name for name in _REFUSED if body.get(name) is not None), None)
        if refused is not None:
            raise Refused(400, f"`{refused}` is the program's business and cannot be asked for")
        name = body.get("model")
        if not isinstance(name, str) or not name:
            raise Refused(400, "`model` names a program: `program@model`")
        source = body.get("program")
        if source is None:
            return self.served.find(name)
        if not self.allow_inline:
            raise Refused(403, "this server does not run programs that clients send (--allow-inline)")
        if not isinstance(source, str):
            raise Refused(400, "`program` is the text of a program")
        if _READS_FILES.search(source):
            raise Refused(403, "a program that a client sends may not read files: it imports libraries by name only")
        program = compile(source, name=name)
        if any(signature.location.path for signature in program.program.signatures.values()):
            raise Refused(403, "a program that a client sends may not import Python files of this server")
        return program, self.served.model_for(program, name.partition("@")[2])


async def _body(request: Request) -> dict[str, Any]:
    """The request's JSON object. Raises Refused."""
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > MOST_BYTES:
            raise Refused(413, f"a request may have {MOST_BYTES >> 20} MB")
    try:
        body = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise Refused(400, "the body is not JSON") from error
    if not isinstance(body, dict):
        raise Refused(400, "the body is an object")
    return body


def completion(name: str, result: Result, count: int) -> dict[str, Any]:
    """A result as a chat completion; a value that is no text is JSON."""
    values = [result.best] if result.outcome.view == "best" and count == 1 else result.samples(count)
    tokens = int(result.outcome.posterior.tokens["target"])
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": name,
        "choices": [
            {
                "index": index,
                "message": {"role": "assistant", "content": _content(value)},
                "finish_reason": "stop",
                "logprobs": None,
            }
            for index, value in enumerate(values)
        ],
        "usage": {"prompt_tokens": 0, "completion_tokens": tokens, "total_tokens": tokens},
        "smcdsl": as_json(result.outcome, View("posterior")),
    }


def _content(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


async def _events(made: Mapping[str, Any]) -> AsyncIterator[str]:
    """The same as server-sent events: a result exists only when the run is over, so each choice is one piece."""
    head = {key: made[key] for key in ("id", "created", "model")} | {"object": "chat.completion.chunk"}
    for choice in made["choices"]:
        piece = {"index": choice["index"], "delta": choice["message"], "finish_reason": None}
        yield f"data: {json.dumps({**head, 'choices': [piece]}, ensure_ascii=False)}\n\n"
    ends = [{"index": choice["index"], "delta": {}, "finish_reason": "stop"} for choice in made["choices"]]
    yield f"data: {json.dumps({**head, 'choices': ends, 'smcdsl': made['smcdsl']}, ensure_ascii=False)}\n\n"
    yield "data: [DONE]\n\n"


def _error(status: int, message: str, code: str, diagnostics: list[dict[str, Any]] | None = None) -> Response:
    error: dict[str, Any] = {"message": message, "type": "smcdsl_error", "code": code}
    if diagnostics is not None:
        error["diagnostics"] = diagnostics
    return JSONResponse({"error": error}, status_code=status)
