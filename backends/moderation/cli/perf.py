"""`moderation perf-analyzer`: the real perf_analyzer with the libraries it needs around it."""

from __future__ import annotations

import base64
import json
import os
import struct
import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import typer

from moderation.cli.check import find
from moderation.errors import ConfigError, LaunchError
from moderation.launcher import admin
from moderation.launcher.install import ServerInstall, find_perf_analyzer, find_server

NEEDED = {"libb64.so.0d": "libb64-*.so*", "libcudart.so.12": "libcudart-*.so*"}
"""Libraries the binary asks for by these names; the wheel of the server has them under hashed names."""


def library_links(install: ServerInstall, folder: Path) -> Path:
    """Fill `folder` with links that give the server's hashed libraries the names perf_analyzer asks for.

    Raises:
        LaunchError: a library is not in any folder of the installation.
    """
    for name, pattern in NEEDED.items():
        found = [path for place in install.library_path for path in sorted(place.glob(pattern))]
        if found:
            (folder / name).symlink_to(found[0])
        elif install.origin == "wheel":
            places = ", ".join(str(p) for p in install.library_path)
            raise LaunchError(f"perf_analyzer needs {name} and there is no {pattern} in {places}")
    return folder


def write_input_data(pictures: Sequence[Path], target: Path) -> None:
    """A perf_analyzer input file; BYTES values are the base64 of a 4-byte little-endian length and the content."""

    def encoded(path: Path) -> str:
        data = path.read_bytes()
        return base64.b64encode(struct.pack("<I", len(data)) + data).decode()

    rows = [{"IMAGE": {"b64": encoded(path), "shape": [1]}} for path in pictures]
    target.write_text(json.dumps({"data": rows}))


def perf_data(
    output: Annotated[Path, typer.Argument(help="File to write.")],
    files: Annotated[list[str], typer.Argument(help="Images: files, folders or patterns.")],
) -> None:
    """Make an --input-data file for perf_analyzer from images."""
    try:
        names = find(files)
        write_input_data([Path(name) for name in names], output)
    except (ConfigError, OSError) as error:
        typer.secho(str(error), fg="red", err=True)
        raise typer.Exit(2) from None
    typer.echo(f"{output}: {len(names)} images")


def perf_analyzer(context: typer.Context) -> None:
    """Run perf_analyzer; every option goes to it as it is (try `moderation perf-analyzer --help`)."""
    try:
        binary, install = find_perf_analyzer(), find_server()
        # execve replaces this process, so nobody could remove a folder of its own afterwards: one folder for a user
        folder = Path(tempfile.gettempdir()) / f"moderation-perf-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.stat().st_uid != os.getuid():
            raise LaunchError(f"{folder} belongs to another user; remove it or set TMPDIR")
        for link in folder.iterdir():
            link.unlink()
        library_links(install, folder)
    except LaunchError as error:
        typer.secho(error.message, fg="red", err=True)
        raise typer.Exit(2) from None
    libraries = [str(folder), *map(str, install.library_path)]
    environment = {**os.environ, "LD_LIBRARY_PATH": os.pathsep.join(libraries)}
    os.execve(binary, [str(binary), *context.args, *_token(context.args)], environment)  # noqa: S606 - an argument list, no shell


def _token(arguments: Sequence[str]) -> list[str]:
    """The header for the statistics of a server that this user runs here."""
    values = dict(pairwise(arguments))
    grpc = values.get("-i", "http").lower() == "grpc"
    url = values.get("-u", "127.0.0.1:8001" if grpc else "127.0.0.1:8000")
    token = admin.token_for(url)
    return ["-H", f"{admin.GRPC_HEADER if grpc else admin.HEADER}:{token}"] if token else []
