"""What is run inside a pod, with nothing but a shell: its processes, and signals to them.

Containers of a pod see each other's processes (`shareProcessNamespace`); the first one is that of
Kubernetes, and a shell that looks is none of the server's.
"""

from collections.abc import Sequence
from dataclasses import dataclass

# pid, state, name of every process that is neither Kubernetes' nor this shell. It starts no other
# program, which it would then meet.
_LIST = (
    "for d in /proc/[0-9]*; do p=${d#/proc/}; "
    '[ "$p" = 1 ] || [ "$p" = "$$" ] && continue; '
    "read -r s 2>/dev/null < $d/stat || continue; "
    "n=${s#*\\(}; n=${n%\\)*}; t=${s##*\\) }; "
    'echo "$p ${t%% *} $n"; done'
)
_SIGNAL = 'for p in {pids}; do kill -{signal} "$p" 2>/dev/null; done; true'
# One line a variable, an empty one at the end: a password is in no argument.
_WITH_ENVIRONMENT = (
    'while IFS= read -r line; do [ -z "$line" ] && break; export "$line"; done; '
    'exec "$@" < /dev/null'
)
_CONNECT = 'timeout {seconds} bash -c "exec 3<>/dev/tcp/{host}/{port}"'


@dataclass(frozen=True)
class Process:
    """A process of a pod. `state` is the kernel's letter: R, S, D, T (stopped), Z."""

    pid: int
    state: str
    name: str

    @property
    def stopped(self) -> bool:
        """Whether it stands still."""
        return self.state == "T"

    @property
    def alive(self) -> bool:
        """Whether it is more than an entry that nobody has read yet."""
        return self.state not in {"Z", "X"}


def list_processes() -> list[str]:
    """Prints every process of the pod's servers."""
    return ["sh", "-c", _LIST]


def parse_processes(text: str) -> tuple[Process, ...]:
    """What that printed. A name may hold blanks."""
    rows = (line.split(" ", 2) for line in text.splitlines() if line.count(" ") >= 2)
    found = (Process(int(pid), state, name) for pid, state, name in rows if pid.isdigit())
    return tuple(each for each in found if each.alive)


def send_signal(signal: str, processes: Sequence[Process]) -> list[str]:
    """Sends a signal (`KILL`, `STOP`, `CONT`) to each; those that are gone do not matter."""
    pids = " ".join(str(each.pid) for each in processes)
    return ["sh", "-c", _SIGNAL.format(pids=pids, signal=signal)]


def with_environment(argv: Sequence[str]) -> list[str]:
    """The program with variables that come on its standard input: see `environment_lines`."""
    return ["sh", "-c", _WITH_ENVIRONMENT, "sh", *argv]


def environment_lines(env: dict[str, str]) -> str:
    """Variables as `with_environment` reads them. Raises ValueError: a value of several lines."""
    for name, value in env.items():
        if "\n" in value:
            raise ValueError(f"{name} has several lines")
    return "".join(f"{name}={value}\n" for name, value in env.items()) + "\n"


def pack(folder: str, leave_out: Sequence[str]) -> list[str]:
    """Prints the folder as a tar archive, without what has one of these names."""
    patterns = [f"--exclude={pattern}" for pattern in leave_out]
    return ["tar", "--create", f"--directory={folder}", *patterns, "."]


def unpack(folder: str) -> list[str]:
    """Puts what `pack` prints into a folder here; owners are of there."""
    return ["tar", "--extract", f"--directory={folder}", "--no-same-owner"]


def connects(host: str, port: int, seconds: int) -> list[str]:
    """Ends with 0 where a connection comes about in time."""
    return ["sh", "-c", _CONNECT.format(host=host, port=port, seconds=seconds)]
