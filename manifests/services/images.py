"""What an image is on the local target: a Python, and a copy of the code that it runs.

The copy lies in the cluster's folder under a version that names its content, so that a revision
stays what it was when its source is changed or gone: docs/decisions/services-on-local.md.
"""

import hashlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cluster.errors import InvalidInputError, OpsError
from cluster.plan import Finding, Step, done, todo

PACKAGES = ("skillswap_ops", "runbooks", "mongo", "postgres", "manifests", "cluster")
MAIN = Path("skillswap_ops", "services", "__main__.py")
VERSION = re.compile(r'^__version__ = "([^"\s]+)"$', re.MULTILINE)
DIGEST = 8  # hexadecimal digits; a few dozen versions are ever told apart
FIND_SECONDS = 30
FIND = "import importlib.util as u; print(u.find_spec('skillswap_ops').origin)"
OWN = Path(__file__).parents[2]  # the folder of the running installation's packages
COMPONENT = "Service images"
LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc", ".*")


@dataclass(frozen=True)
class Image:
    """Code in `folder`, run by `python`. `source` is what was asked for, for people."""

    source: str
    python: str
    folder: Path
    version: str


def resolve(given: Path | None, python: str) -> Image:
    """The image that is meant: a source folder, an environment or its Python; None: this program.

    Raises InvalidInputError where it is none of these.
    """
    if given is None:
        return _image("this installation", python, OWN)
    path = given.absolute()
    if (path / "skillswap_ops").is_dir():
        return _image(str(path), python, path)
    interpreter = path / "bin" / "python" if path.is_dir() else path
    if not interpreter.is_file():
        raise InvalidInputError(
            f"{given} is no image: neither a folder with skillswap_ops in it nor a Python",
            "name a checkout, a virtual environment, or a Python that has skillswap-ops installed",
        )
    return _image(str(path), str(interpreter), _installed(interpreter))


def _image(source: str, python: str, folder: Path) -> Image:
    if not (folder / MAIN).is_file():
        raise InvalidInputError(
            f"{source} has no services: there is no {MAIN} in {folder}",
            "take a version of skillswap-ops that has them",
        )
    found = VERSION.search((folder / "skillswap_ops" / "__init__.py").read_text("utf-8"))
    number = found.group(1) if found else "0"
    return Image(source, python, folder, f"{number}-{_digest(folder, python)}")


def _installed(interpreter: Path) -> Path:
    """Where an environment keeps its skillswap_ops."""
    ended = subprocess.run(
        [str(interpreter), "-P", "-c", FIND],
        capture_output=True,
        text=True,
        timeout=FIND_SECONDS,
        check=False,
    )
    if ended.returncode:
        raise InvalidInputError(
            f"{interpreter} has no skillswap-ops installed",
            f"{interpreter} -m pip install skillswap-ops",
        )
    return Path(ended.stdout.strip()).parents[1]


def _digest(folder: Path, python: str) -> str:
    """Names the code and the Python that runs it: either one makes another version."""
    digest = hashlib.sha256(python.encode())
    for path in _files(folder):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.relative_to(folder)}\0{content}\0".encode())
    return digest.hexdigest()[:DIGEST]


def _files(folder: Path) -> Iterator[Path]:
    for package in PACKAGES:
        for path in sorted((folder / package).rglob("*")):
            inside = path.relative_to(folder).parts
            hidden = any(part == "__pycache__" or part.startswith(".") for part in inside)
            if path.is_file() and not hidden and path.suffix != ".pyc":
                yield path


def step_name(version: str) -> str:
    """The step after which a version's code is in place."""
    return f"image {version}"


def step(image: Image, images: Path) -> Step:
    """The image's code lies in the cluster's folder, whole and compiled."""
    place = images / image.version

    def check() -> Finding:
        return done(f"{place.name} is there") if place.is_dir() else todo("not copied yet")

    return Step(
        step_name(image.version),
        COMPONENT,
        f"copy {image.version} from {image.source}",
        check,
        lambda: _copy(image, place),
    )


def missing_step(version: str, images: Path) -> Step:
    """For a revision whose source is not at hand: its code must still be there."""

    def check() -> Finding:
        if (images / version).is_dir():
            return done(f"{version} is there")
        raise OpsError(
            f"the code of {version} is gone from {images}", "`services rollout` with an --image"
        )

    return Step(step_name(version), COMPONENT, f"have {version} at hand", check, lambda: None)


def _copy(image: Image, place: Path) -> None:
    """A killed copy leaves a hidden folder, which the next one removes."""
    place.parent.mkdir(mode=0o755, exist_ok=True)
    for left in place.parent.glob(f".{image.version}.*"):
        shutil.rmtree(left, ignore_errors=True)
    new = Path(tempfile.mkdtemp(prefix=f".{image.version}.", dir=place.parent))
    for package in PACKAGES:
        if (image.folder / package).is_dir():
            shutil.copytree(
                image.folder / package,
                new / package,
                ignore=LEFT_OUT,
                copy_function=shutil.copyfile,
            )
    _compile(image.python, new, place)
    for path in (new, *new.rglob("*")):  # whatever the umask: servers run as another user
        path.chmod(0o755 if path.is_dir() else 0o644)
    with suppress(FileExistsError):
        new.rename(place)


def _compile(python: str, new: Path, place: Path) -> None:
    """Bytecode beside the code, which the servers' user could not write.

    What does not compile is left to the rollout: it will not start.
    """
    options = ["-q", "-j", "0", "--invalidation-mode", "unchecked-hash"]
    moved = ["-s", str(new), "-p", str(place)]  # what tracebacks name
    subprocess.run(
        [python, "-P", "-m", "compileall", *options, *moved, str(new)],
        capture_output=True,
        check=False,
    )


def prune(images: Path, kept: Iterable[str]) -> None:
    """Remove the versions that no revision names any more."""
    wanted = set(kept)
    for place in images.iterdir() if images.is_dir() else ():
        if place.name not in wanted:
            shutil.rmtree(place, ignore_errors=True)
