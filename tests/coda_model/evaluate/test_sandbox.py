"""Hostile programs in the sandbox: none gets out, none gets a pass it has not earned."""

import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from coda_model.errors import CodaError
from coda_model.evaluate.sandbox import isolation
from coda_model.evaluate.sandbox.run import Limits, Sandbox

TESTS = {"tests": {"code": "assert double(4) == 8\nassert double('ab') == 'abab'\nassert double([1]) == [1, 1]"}}


def judge(sandbox: Sandbox, code: str, limits: Limits | None = None) -> str:
    return sandbox.run_tests(code, ["double"], "", TESTS, limits=limits)["tests"]


@pytest.mark.parametrize(
    ("code", "passes"),
    [
        ("def double(x):\n    return x * 2", True),
        ("double = lambda x: x + x", True),
        ("def double(x):\n    print('noise', x)\n    return x * 2", True),
        ("import math\ndef double(x):\n    return x * math.floor(2.5)", True),
        ("def double(x):\n    return x", False),
        ("def double(x):\n    return None", False),
        ("def double(x):\n    raise ValueError('no')", False),
        ("def halve(x):\n    return x", False),
        ("def double(x) return", False),
        ("", False),
    ],
)
def test_right_code_passes_and_wrong_code_fails(sandbox: Sandbox, code: str, passes: bool) -> None:
    assert (judge(sandbox, code) == "pass") is passes


CHEATS = {
    "exits 0 at once": "import sys; sys.exit(0)",
    "exits 0 in the call": "import os\ndef double(x):\n    os._exit(0)",
    "always-equal object": "class Yes:\n    def __eq__(self, other): return True\n    __hash__ = None\n"
    "def double(x):\n    return Yes()",
    "always-equal list": "class Yes(list):\n    def __eq__(self, other): return True\ndef double(x):\n    return Yes()",
    "always-equal number": "class Yes(int):\n    def __eq__(self, other): return True\n"
    "def double(x):\n    return Yes(3)",
    "walks the stack": "import sys\ndef double(x):\n"
    "    frame = sys._getframe()\n"
    "    while frame:\n"
    "        for value in list(frame.f_locals.values()) + list(frame.f_globals.values()):\n"
    "            if isinstance(value, str) and '8' in value: return 8\n"
    "            if isinstance(value, dict) and 'secret' in value: print(value['secret'], 'tests pass')\n"
    "        frame = frame.f_back\n",
    "patches the checker": "import builtins, json\n"
    "builtins.AssertionError = Exception\n"
    "json.loads = lambda text: {'value': 8}\n"
    "builtins.compile = builtins.exec = lambda *rest: None\n"
    "def double(x):\n    return None",
    "speaks the protocol": "import os, json\n"
    "for number in range(3, 64):\n"
    "    try: os.write(number, json.dumps({'value': {'int': '0x8'}}).encode() + b'\\n')\n"
    "    except OSError: pass\n"
    "def double(x):\n    return None",
    "prints a verdict": "import os\nos.write(2, b'tests pass\\n')\nos.write(1, b'tests pass\\n')\n"
    "def double(x):\n    return None",
    "deletes its way out": "import sys\nfor name in list(sys.modules): sys.modules.pop(name)\n"
    "def double(x):\n    return None",
}


@pytest.mark.parametrize("code", CHEATS.values(), ids=CHEATS)
def test_cheats_fail(sandbox: Sandbox, code: str) -> None:
    assert judge(sandbox, code) != "pass"


@pytest.fixture(scope="module")
def open_port() -> Iterator[int]:
    """A server on this machine that a program with a network could reach."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


ESCAPES = {
    "network": "import socket\nsocket.create_connection(('127.0.0.1', PORT), 2)",
    "name service": "import socket\nsocket.getaddrinfo('example.org', 80)",
    "home folder": "open('SECRET').read()",
    "password file": "open('/etc/passwd').read()",
    "other processes": "import os\nassert [p for p in os.listdir('/proc') if p.isdigit() and int(p) > 100]",
    "kill the parent": "import os, signal\nos.kill(PID, signal.SIGKILL)",
    "write to the system": "open('/usr/lib/x', 'w')",
    "write to the interpreter": "import os\nopen(os.path.join(os.path.dirname(os.__file__), 'x.py'), 'w')",
    "write to devices": "open('/dev/shm/x', 'w')",
    "become root": "import os\nos.setuid(0)",
    "raise a limit": "import resource\nresource.setrlimit(resource.RLIMIT_NPROC, (1000, 1000))",
    "one large file": "with open('/tmp/x', 'wb') as file:\n    for _ in range(64): file.write(bytes(1 << 20))",
    "a full disk": "for n in range(32):\n    with open(f'/tmp/{n}', 'wb') as file:\n"
    "        for _ in range(8): file.write(bytes(1 << 20))",
    "all of the memory": "x = bytearray(8 << 30)",
    "more processes": "import os, time\nfor _ in range(64):\n    if os.fork() == 0: time.sleep(5); os._exit(0)",
}
SYSTEM_CALLS = {
    "mount": 165,
    "ptrace": 101,
    "unshare": 272,
    "socket": 41,
    "bpf": 321,
    "io_uring_setup": 425,
    "keyctl": 250,
}


@pytest.mark.parametrize("code", ESCAPES.values(), ids=ESCAPES)
def test_escapes_end_in_an_error(sandbox: Sandbox, code: str, open_port: int, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("private")
    code = code.replace("PORT", str(open_port)).replace("SECRET", str(secret)).replace("PID", str(os.getpid()))
    indented = "".join(f"    {line}\n" for line in code.split("\n"))
    program = f"try:\n{indented}except BaseException as error:\n    print('stopped')\nelse:\n    print('escaped')"
    assert sandbox.run_script(program, "").text == "stopped\n"


@pytest.mark.parametrize("number", SYSTEM_CALLS.values(), ids=SYSTEM_CALLS)
def test_raw_system_calls_are_not_permitted(sandbox: Sandbox, number: int) -> None:
    if os.uname().machine != "x86_64":
        pytest.skip("the numbers are those of x86-64")
    program = (
        "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        f"print(libc.syscall({number}, 2, 1, 0, 0, 0), ctypes.get_errno())"
    )
    assert sandbox.run_script(program, "").text == "-1 1\n"


def test_a_fork_bomb_and_a_daemon_end_with_the_program(sandbox: Sandbox, tmp_path: Path) -> None:
    """A pipe held by anything that lived on would never end: reading it to its end is the proof."""
    bomb = "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass"
    assert sandbox.run_script(bomb, "", Limits(time_s=1, patience=2)).fault.startswith("ended after")
    daemon = (
        "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n"
        "        time.sleep(600)\n    os._exit(0)\nprint('left behind')"
    )
    before = _processes()
    output = sandbox.run_script(daemon, "", Limits(time_s=60))
    assert output.text == "left behind\n"
    assert output.fault == ""  # the namespace ended with its first process, the daemon in it
    assert not [name for name in _processes() - before if "program.py" in name]


def _processes() -> set[str]:
    names = set()
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                names.add(f"{folder.name} {(folder / 'cmdline').read_text()}")
            except OSError:
                continue
    return names


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        ("while True: pass", "ended after 1 s of computing"),
        ("import time; time.sleep(600)", "ended after 2 s"),
        ("import os, time; os.close(1); os.close(2); time.sleep(600)", "ended after 2 s"),
        ("while True: print('x' * 1000)", "printed more than 1048576 bytes"),
    ],
)
def test_time_and_output_are_bounded(sandbox: Sandbox, code: str, fault: str) -> None:
    slow = "computing" in fault or "printed" in fault
    limits = replace(sandbox.limits, time_s=1.0 if "after" in fault else 60.0, patience=60.0 if slow else 2.0)
    output = sandbox.run_script(code, "", limits)
    assert output.fault == fault
    assert len(output.text) <= limits.output_bytes


def test_an_endless_call_fails_its_tests(sandbox: Sandbox) -> None:
    code = "def double(x):\n    while True: pass"
    assert judge(sandbox, code, Limits(time_s=1, patience=60)) == "RemoteError: no answer (EOFError)"


def test_a_program_reads_its_input(sandbox: Sandbox) -> None:
    output = sandbox.run_script("print(sum(map(int, input().split())))", "1 2 39\n")
    assert (output.text, output.fault) == ("42\n", "")


def test_values_of_every_plain_type_come_back(sandbox: Sandbox) -> None:
    values = "[None, True, 1, -(10**5000), 2.5, 1j, 'ä', b'x', (1, (2,)), {3}, frozenset({4}), {(1, 2): [5]}]"
    code = "def echo(x):\n    return x\nclass Node:\n    def __init__(self, value):\n        self.value = value"
    tests = (
        f"values = {values}\nassert echo(values) == values\nassert type(echo((1,))) is tuple\n"
        "node = Node(7)\nnode.left = Node([8])\nassert echo(node).left.value == [8]\nassert node.left is not None"
    )
    assert sandbox.run_tests(code, ["echo", "Node"], "", {"tests": {"code": tests}}) == {"tests": "pass"}


@pytest.mark.parametrize(
    ("rule", "reference", "code", "passes"),
    [
        ("", "def f(x):\n    return x / 3", "def f(x):\n    return x * (1 / 3)", True),
        ("", "def f(x):\n    return x / 3", "def f(x):\n    return x / 3 + 1e-3", False),
        ("", "def f(x):\n    return [x]", "def f(x):\n    return (x,)", False),
        ("set", "def f(x):\n    return [x, 1]", "def f(x):\n    return [1, x]", True),
        ("root", "", "def f(x):\n    return -x[0] / x[1]", True),
        ("root", "", "def f(x):\n    return 17.0", False),
        ("found", "import re\ndef f(x):\n    return re.match('.', str(x))", "def f(x):\n    return True", True),
    ],
)
def test_inputs_are_judged_by_the_reference(
    sandbox: Sandbox, rule: str, reference: str, code: str, passes: bool
) -> None:
    inputs = [[[{"int": "0x6"}, {"int": "0x2"}]]] if rule == "root" else [[{"int": "0x7"}], [{"int": "0x5"}]]
    groups = {"base": {"inputs": inputs, "tolerance": 0, "rule": rule}}
    assert (sandbox.run_tests(code, ["f"], reference, groups, "f")["base"] == "pass") is passes


def test_code_that_lacks_the_function_is_not_judged_by_the_reference_itself(sandbox: Sandbox) -> None:
    reference = "def double(x):\n    return x * 2"
    for code in ("", "halve = 1", "def double(x):\n    return x * 2\ndel double"):
        assert sandbox.run_tests(code, ["double"], reference, TESTS, "double")["tests"].startswith("NameError")
        groups = {"base": {"inputs": [[1]], "tolerance": 0, "rule": ""}}
        assert sandbox.run_tests(code, ["double"], reference, groups, "double")["base"] != "pass"


def test_without_bubblewrap_it_refuses_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolation.shutil, "which", lambda name: None)
    with pytest.raises(CodaError, match=r"needs bubblewrap .* --unsafe-no-sandbox"):
        Sandbox()
    unsafe = Sandbox(unsafe=True)
    assert unsafe.run_script("print(input())", "seen").text == "seen\n"
    assert judge(unsafe, "def double(x):\n    return x * 2") == "pass"
