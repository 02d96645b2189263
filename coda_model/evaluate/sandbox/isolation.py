"""The walls of the sandbox: bubblewrap's namespaces and a seccomp filter, or a refusal where they are missing.

Inside there is a read-only /usr and interpreter, a small scratch folder, no network, no home, no other process.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO

from coda_model.errors import CodaError

SCRATCH_BYTES = 64 << 20
_GUEST = Path(__file__).parent / "guest"
_INSIDE, _INTERPRETER = "/sandbox", Path("/interpreter")
# What ordinary programs never need and escapes are made of; the answer is "not permitted".
_FORBIDDEN = (
    "mount", "umount2", "pivot_root", "chroot", "setns", "unshare", "mount_setattr", "move_mount", "open_tree",
    "fsopen", "fsmount", "fsconfig", "fspick", "ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "kcmp",
    "bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register",
    "keyctl", "add_key", "request_key", "init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load",
    "open_by_handle_at", "name_to_handle_at", "swapon", "swapoff", "reboot", "quotactl", "acct",
    "settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "syslog", "personality", "iopl", "ioperm", "vhangup",
    "sethostname", "setdomainname", "socket", "connect", "bind", "listen", "accept", "accept4",
)  # fmt: skip
_CLONE_NEW_USER = 0x10000000
_TERMINAL_INPUT = 0x5412  # TIOCSTI pushes characters into the terminal


def command(isolated: bool, main: str, job_fd: int, filter_fd: int | None) -> list[str]:
    """The command that runs `guest.MAIN` on the job that a file descriptor holds."""
    interpreter, base = Path(sys.executable).resolve(), Path(sys.base_prefix).resolve()
    folder = _INSIDE if isolated else str(_GUEST.parent)
    start = f"import sys; sys.path.insert(0, {folder!r}); from guest.{main} import main; main()"
    options = ["-I", "-S", "-B", "-c", start, str(job_fd)]
    if not isolated:
        return [str(interpreter), *options]
    walls = ["bwrap", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
    walls += ["--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    if os.getuid() == 0:  # the process gives up root itself, to a user whose processes can be counted
        walls += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    else:
        walls += ["--unshare-user", "--uid", "65534", "--gid", "65534"]
    walls += ["--ro-bind", "/usr", "/usr"]
    for name in ("lib", "lib32", "lib64", "bin"):
        path = Path("/") / name
        if path.is_symlink():
            walls += ["--symlink", str(path.readlink()), str(path)]
        elif path.is_dir():
            walls += ["--ro-bind", str(path), str(path)]
    if not base.is_relative_to("/usr"):  # one in a home folder gets a place that gives nothing of the home away
        walls += ["--ro-bind", str(base), str(_INTERPRETER)]
        interpreter = _INTERPRETER / interpreter.relative_to(base)
    walls += ["--ro-bind", str(_GUEST), f"{_INSIDE}/guest", "--proc", "/proc", "--dev", "/dev", "--remount-ro", "/dev"]
    walls += ["--perms", "1777", "--size", str(SCRATCH_BYTES), "--tmpfs", "/tmp", "--chdir", "/tmp"]
    walls += ["--remount-ro", "/", "--clearenv", "--setenv", "PATH", "/usr/bin"]
    if filter_fd is not None:
        walls += ["--seccomp", str(filter_fd)]
    return [*walls, "--", str(interpreter), *options]


@contextmanager
def filter_file(isolated: bool) -> Iterator[IO[bytes] | None]:
    """The seccomp filter as a file, for one process to read; None outside the sandbox."""
    if not isolated:
        yield None
        return
    with tempfile.TemporaryFile() as file:
        file.write(_filter_program())
        file.seek(0)
        yield file


def missing() -> str | None:
    """What the sandbox lacks on this machine, as a sentence; None where nothing is lacking."""
    if sys.platform != "linux":
        return "The sandbox for generated code needs Linux."
    if shutil.which("bwrap") is None:
        return "The sandbox for generated code needs bubblewrap (Debian: apt install bubblewrap)."
    try:
        _filter_program()
    except CodaError as error:
        return str(error)
    return None


@cache
def _filter_program() -> bytes:
    """The filter as the kernel's BPF. Raises CodaError where libseccomp or its binding is missing."""
    try:
        import pyseccomp as seccomp
    except ImportError:
        raise CodaError("The sandbox for generated code needs pyseccomp: pip install 'coda-lsp[eval]'.") from None
    except (OSError, RuntimeError):
        raise CodaError("The sandbox for generated code needs libseccomp (Debian: apt install libseccomp2).") from None
    refuse, absent = seccomp.ERRNO(1), seccomp.ERRNO(38)
    rules = seccomp.SyscallFilter(seccomp.ALLOW)
    for name in _FORBIDDEN:
        rules.add_rule(refuse, name)
    rules.add_rule(refuse, "clone", seccomp.Arg(0, seccomp.MASKED_EQ, _CLONE_NEW_USER, _CLONE_NEW_USER))
    rules.add_rule(absent, "clone3")  # its flags lie in memory, where a filter can't look; libc then uses clone
    rules.add_rule(refuse, "ioctl", seccomp.Arg(1, seccomp.MASKED_EQ, 0xFFFFFFFF, _TERMINAL_INPUT))
    with tempfile.TemporaryFile() as file:
        rules.export_bpf(file)
        file.seek(0)
        return file.read()
