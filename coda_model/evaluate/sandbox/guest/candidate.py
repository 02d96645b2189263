"""The code under test: it is executed, then answers calls. It sees what it is called with, never what is expected."""

import builtins
import os
import sys
import types
from collections.abc import Callable
from itertools import count
from typing import Any

from . import lockdown, wire


def main() -> None:
    job = lockdown.read_job()
    reader, writer = lockdown.quiet_streams()
    os.dup2(1, 2)
    objects: dict[int, Any] = {}
    numbers = count()

    def keep(value: Any) -> int:
        number = next(numbers)
        objects[number] = value
        return number

    def answer(compute: Callable[[], Any]) -> None:
        try:
            message = {"value": wire.encode(compute(), keep)}
        except BaseException as error:  # SystemExit is an answer too
            message = {"error": type(error).__name__, "text": str(error)[:200]}
        wire.write(writer, message)

    module = types.ModuleType("candidate")
    sys.modules["candidate"] = module  # dataclasses look their module up

    def load() -> dict[str, Any]:
        exec(compile(job["code"], "candidate.py", "exec"), module.__dict__)
        return {name: module.__dict__[name] for name in job["names"] if name in module.__dict__}

    answer(load)
    while True:
        try:
            request = wire.read(reader)
        except EOFError:
            return
        answer(lambda request=request: _perform(request, objects))


def _perform(request: dict[str, Any], objects: dict[int, Any]) -> Any:
    target = objects[request["target"]]
    arguments = [wire.decode(value, objects.__getitem__) for value in request["arguments"]]
    match request["operation"]:
        case "call":
            keywords = {key: wire.decode(value, objects.__getitem__) for key, value in request["keywords"].items()}
            return target(*arguments, **keywords)
        case "getattr" | "setattr" | "len" | "list" as operation:
            return getattr(builtins, operation)(target, *arguments)
        case "getitem":
            return target[arguments[0]]
    raise ValueError("no such operation")
