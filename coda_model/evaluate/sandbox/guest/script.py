"""A whole program: it reads standard input and prints; what it printed is judged outside."""

import sys
import types

from . import lockdown


def main() -> None:
    job = lockdown.read_job()
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    sys.argv = ["program.py"]
    try:
        exec(compile(job["code"], "program.py", "exec"), module.__dict__)
    finally:
        sys.stdout.flush()
