"""Images of the local target: which code is meant, how its version is named, its copy."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.errors import InvalidInputError, OpsError
from manifests.services import images
from manifests.services.images import resolve


def source(folder: Path, said: str = "hello") -> Path:
    services = folder / "skillswap_ops" / "services"
    services.mkdir(parents=True)
    (folder / "skillswap_ops" / "__init__.py").write_text('"""x"""\n\n__version__ = "3.1.4"\n')
    (services / "__init__.py").write_text("")
    (services / "__main__.py").write_text(f"print({said!r}, __file__)\n")
    (folder / "cluster").mkdir()
    (folder / "cluster" / "__init__.py").write_text("")
    return folder


def test_a_source_folder_is_an_image(tmp_path: Path) -> None:
    found = resolve(source(tmp_path / "a"), sys.executable)
    assert found.folder == tmp_path / "a"
    assert found.python == sys.executable
    assert found.version.startswith("3.1.4-")


def test_the_version_names_the_code_and_nothing_else_of_the_folder(tmp_path: Path) -> None:
    one, same = source(tmp_path / "a"), source(tmp_path / "b")
    other = source(tmp_path / "c", "bye")
    cache = same / "cluster" / "__pycache__"
    cache.mkdir()
    (cache / "x.pyc").write_bytes(b"1")
    (same / "README.md").write_text("x")
    versions = [resolve(each, sys.executable).version for each in (one, same, other)]
    assert versions[0] == versions[1] != versions[2]
    assert resolve(one, "/other/python").version != versions[0]


def test_an_environment_and_its_python_are_images(tmp_path: Path) -> None:
    code = source(tmp_path / "code")
    python = tmp_path / "env" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nPYTHONPATH={code} exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    for given in (tmp_path / "env", python):
        found = resolve(given, sys.executable)
        assert (found.folder, found.python) == (code, str(python))


def test_what_is_no_image_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="is no image"):
        resolve(tmp_path, sys.executable)
    bare = source(tmp_path / "bare")
    (bare / "skillswap_ops" / "services" / "__main__.py").unlink()
    with pytest.raises(InvalidInputError, match="has no services"):
        resolve(bare, sys.executable)
    failing = tmp_path / "python"
    failing.write_text("#!/bin/sh\nexit 1\n")
    failing.chmod(0o755)
    with pytest.raises(InvalidInputError, match="has no skillswap-ops installed"):
        resolve(failing, sys.executable)


def test_the_copy_stays_when_its_source_changes_and_is_readable_to_all(tmp_path: Path) -> None:
    code = source(tmp_path / "code")
    secret = code / "cluster" / "__init__.py"
    secret.chmod(0o600)
    place = tmp_path / "images"
    image = resolve(code, sys.executable)
    step = images.step(image, place)
    assert not step.check().done
    old = os.umask(0o077)
    try:
        step.act()
    finally:
        os.umask(old)
    assert step.check().done
    (code / "skillswap_ops" / "services" / "__main__.py").write_text("1/0")
    ran = subprocess.run(
        [sys.executable, "-P", "-m", "skillswap_ops.services"],
        env={"PYTHONPATH": str(place / image.version)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.split() == [
        "hello",
        str(place / image.version / "skillswap_ops" / "services" / "__main__.py"),
    ]
    modes = {stat.S_IMODE(path.stat().st_mode) for path in place.rglob("*")}
    assert modes == {0o755, 0o644}
    assert list((place / image.version).rglob("*.pyc"))


def test_a_killed_copy_is_no_image_and_is_cleared_away(tmp_path: Path) -> None:
    image = resolve(source(tmp_path / "code"), sys.executable)
    place = tmp_path / "images"
    left = place / f".{image.version}.killed"
    left.mkdir(parents=True)
    step = images.step(image, place)
    assert not step.check().done
    step.act()
    assert [path.name for path in place.iterdir()] == [image.version]


def test_code_that_does_not_compile_is_copied_all_the_same(tmp_path: Path) -> None:
    code = source(tmp_path / "code")
    (code / "skillswap_ops" / "services" / "__main__.py").write_text("def (")
    step = images.step(resolve(code, sys.executable), tmp_path / "images")
    step.act()
    assert step.check().done


def test_code_that_is_gone_is_said(tmp_path: Path) -> None:
    with pytest.raises(OpsError, match=r"the code of 1-abc is gone"):
        images.missing_step("1-abc", tmp_path).check()


def test_versions_that_nothing_names_are_removed(tmp_path: Path) -> None:
    for name in ("1-a", "2-b", ".3-c.killed"):
        (tmp_path / name).mkdir()
    images.prune(tmp_path, ["2-b"])
    assert [path.name for path in tmp_path.iterdir()] == ["2-b"]
    images.prune(tmp_path / "none", [])
