"""The image recipes: pinned, not root, and of the versions that the topology and project name."""

import re
import tomllib
from pathlib import Path

import pytest

from cluster.kubernetes_settings import Images
from manifests.kubernetes.security import USER
from mongo.releases import release_for
from skillswap_ops import __version__
from tests.conftest import ROOT

FOLDER = ROOT / "manifests" / "images"
RECIPES = sorted(FOLDER.glob("*/Dockerfile"))
ON_THE_TOOL = "FROM ${TOOL}\n"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.parent.name)
def test_nobody_is_root_and_everything_is_pinned(recipe: Path) -> None:
    text = recipe.read_text("utf-8")
    users = re.findall(r"^USER (.*)$", text, re.MULTILINE)
    assert users[-1] == f"{USER}:{USER}"
    assert set(users) <= {"0:0", f"{USER}:{USER}"}
    if ON_THE_TOOL not in text:
        assert re.search(rf"useradd --uid {USER} ", text), "initdb looks its user up"
    given = dict(re.findall(r"^ARG (\w+)=(\S+)$", text, re.MULTILINE))
    stages = set(re.findall(r"^FROM \S+ AS (\w+)$", text, re.MULTILINE))
    for base in re.findall(r"^(?:FROM |COPY --from=)(\S+)", text, re.MULTILINE):
        named = re.sub(r"\$\{(\w+)\}", lambda found: given[found[1]], base)
        assert named in stages or re.search(r":v?\d+\.\d+", named), base
    joined = text.replace("\\\n", " ")
    for words in re.findall(r"apt-get install ([^&]*)", joined):
        packages = [word for word in words.split() if not word.startswith("-")]
        assert packages
        assert all("=" in word for word in packages), packages


def test_there_is_one_recipe_for_each_image_of_ours() -> None:
    ours = {image for image in Images().model_dump().values() if image.startswith("skillswap/")}
    assert len(ours) == len(RECIPES) == 3
    assert {
        f"skillswap/{name}:{__version__}" for name in ("skillswap-ops", "restore-proof")
    } <= ours


def test_postgres_image_has_what_the_servers_are() -> None:
    text = (FOLDER / "postgres" / "Dockerfile").read_text("utf-8")
    for program in ("postgresql-15", "pgbackrest", "pgbouncer", "procps"):
        assert re.search(rf"^ +{program}=", text, re.MULTILINE), program
    wanted = (FOLDER / "postgres" / "requirements.txt").read_text("utf-8")
    (patroni,) = re.findall(r"^patroni\[kubernetes\]==(\d+\.\d+)", wanted, re.MULTILINE)
    (ours,) = [each for each in PROJECT["dependencies"] if each.startswith("patroni")]
    assert f">={patroni},<" in ours


def test_proof_image_is_the_tool_with_what_the_servers_are() -> None:
    """A restore by other programs than the servers' proves little, or fails."""
    text = (FOLDER / "proof" / "Dockerfile").read_text("utf-8")
    assert f"ARG TOOL={Images().tool}\n" in text
    assert f"skillswap/restore-proof:{__version__}" == Images().proof
    members = (FOLDER / "postgres" / "Dockerfile").read_text("utf-8")
    for program in ("postgresql-15", "pgbackrest"):
        assert pinned(program, text) == pinned(program, members)
    release = release_for("x86_64", "debian", "12")
    assert release
    assert Images().mongo == f"mongo:{release.version}"
    assert f"ARG MONGO={release.name}\n" in text
    assert f"--checksum=sha256:{release.sha256} " in text


def pinned(package: str, recipe: str) -> str:
    (version,) = re.findall(rf"^ +{package}=(\S+)", recipe, re.MULTILINE)
    return str(version)


def test_tool_image_has_every_package() -> None:
    text = (FOLDER / "tool" / "Dockerfile").read_text("utf-8")
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    packages = wheel["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    for package in packages:
        assert f"COPY {package} {package}\n" in text
