"""What the launcher checks before it starts anything."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from collections import namedtuple
from pathlib import Path

import pytest

from moderation.errors import LaunchError
from moderation.launcher import install, preflight
from moderation.launcher.command import ServeOptions, build_argv, build_environment
from moderation.launcher.repository import (
    RESPONSE_CACHE,
    add_versions,
    assemble_repository,
    check_profile,
    profiles,
    stage_backends,
)
from moderation.launcher.run import REPOSITORY, engine_of
from moderation.models import store

Version = namedtuple("Version", "major minor micro")


def test_an_unsupported_python_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Promise: the message says which Python this is and which ones work."""
    monkeypatch.setattr(sys, "version_info", type("V", (tuple,), {"major": 3, "minor": 9})((3, 9, 1)))
    with pytest.raises(LaunchError, match=r"3\.9 is not supported.*3\.13"):
        preflight.check_python()


def test_numpy_2_is_refused_beside_the_embedded_server() -> None:
    """Promise: instead of processes that die on the first text, a sentence with the remedy."""
    with pytest.raises(LaunchError, match=r"NumPy 2\.2\.6.*`numpy<2`"):
        preflight.check_numpy("wheel", "2.2.6")
    preflight.check_numpy("image", "2.2.6")
    preflight.check_numpy("wheel", "1.26.4")


def test_a_small_dev_shm_says_how_much_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Promise: with a container's default of 64 MB the message names the size and the option."""
    Usage = namedtuple("Usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: Usage(64 << 20, 0, 64 << 20))
    with pytest.raises(LaunchError, match=r"64 MiB free and 20 Python instances need 520 MiB.*--shm-size=520m"):
        preflight.check_shared_memory(20, tmp_path)


def test_only_leftovers_of_dead_launchers_are_cleared(tmp_path: Path) -> None:
    """Promise: shared memory of a launcher that lives, and of anybody else, is not touched."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    names = [f"{preflight.region_prefix(gone.pid)}x", f"{preflight.region_prefix(os.getpid())}x", "triton_shm_x"]
    for name in names:
        (tmp_path / name).touch()
    assert preflight.clear_leftovers(tmp_path) == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(names[1:])
    preflight.clear_own(os.getpid(), tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == names[2:]


def test_a_python_without_shared_library_is_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Promise: Debian's package is named, and pyenv's option."""
    monkeypatch.setattr(sysconfig, "get_config_var", lambda _name: None)
    monkeypatch.setattr(sys, "base_prefix", str(tmp_path))
    with pytest.raises(LaunchError, match=r"libpython3\.\d+\.so\.1\.0.*package libpython3\.\d+.*--enable-shared"):
        install.libpython_folder()


def test_no_tritonserver_lists_every_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Promise: the message says where was looked and what to install."""
    monkeypatch.setattr(install, "OFFICIAL_ROOT", tmp_path / "opt")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(LaunchError, match=r"opt/bin/tritonserver, the Python package `pytriton`.*pip install"):
        install.find_server()


def test_the_official_image_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Promise: NVIDIA's layout wins over the wheel."""
    for name in ("bin/tritonserver", "backends/python/triton_python_backend_stub"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    monkeypatch.setattr(install, "OFFICIAL_ROOT", tmp_path)
    found = install.find_server()
    assert (found.binary, found.origin) == (tmp_path / "bin" / "tritonserver", "image")


def test_a_profile_that_no_model_has_is_refused() -> None:
    """Promise: a misspelt profile never means the GPU configuration."""
    assert profiles(REPOSITORY) == ["cpu", "default"]
    with pytest.raises(LaunchError, match="`gpu`; allowed: cpu, default"):
        check_profile(REPOSITORY, "gpu")


def test_unknown_flags_come_last(tmp_path: Path) -> None:
    """Promise: whatever tritonserver knows can be set, also what the launcher sets itself."""
    server = install.find_server()
    options = ServeOptions(tmp_path, tmp_path, "cpu", extra=("--log-verbose=1", "--http-port=1"))
    argv = build_argv(server, options, ["a"])
    assert argv[-2:] == ["--log-verbose=1", "--http-port=1"]
    assert "--model-config-name=cpu" in argv
    assert "--load-model=a" in argv
    assert "--http-address=127.0.0.1" in argv


@pytest.mark.parametrize(("profile", "measured"), [("cpu", "false"), ("default", "true")])
def test_gpus_are_measured_where_networks_run_on_them(tmp_path: Path, profile: str, measured: str) -> None:
    """Promise: the GPU profile shows Triton's nv_gpu_*, which cost is counted from; the CPU profile asks for no GPU."""
    options = ServeOptions(tmp_path, tmp_path, profile, engine=engine_of(REPOSITORY, profile))
    assert f"--allow-gpu-metrics={measured}" in build_argv(install.find_server(), options, [])


def test_a_response_cache_is_for_networks_only(tmp_path: Path) -> None:
    """Promise: what is cached is what pixels look like, never a decision and nothing before the policy; off, no
    configuration mentions it."""
    artefacts = store.artefacts(REPOSITORY)
    networks = {model for model, _ in artefacts}
    for cached in (False, True):
        served = assemble_repository(REPOSITORY, tmp_path / str(cached), artefacts, cached=cached)
        with_cache = {
            path.relative_to(served).parts[0] for path in served.rglob("*.pbtxt") if RESPONSE_CACHE in path.read_text()
        }
        assert with_cache == (networks if cached else set())
    argv = build_argv(install.find_server(), ServeOptions(tmp_path, tmp_path, "cpu", response_cache_mb=3), [])
    assert "--cache-config=local,size=3145728" in argv


def test_the_environment_is_kept_and_added_to() -> None:
    """Promise: what the caller set stays, one thread is the default of each library that would take more, and libraries
    and packages of this environment come first."""
    environment = build_environment(install.find_server(), {"LD_LIBRARY_PATH": "/mine", "OMP_NUM_THREADS": "7"})
    assert environment["LD_LIBRARY_PATH"].endswith(":/mine")
    assert environment["OMP_NUM_THREADS"] == "7"
    assert environment["OPENBLAS_NUM_THREADS"] == environment["OPENCV_FOR_THREADS_NUM"] == "1"
    assert str(Path(sys.executable).parent) in environment["PATH"]


def test_the_command_line_needs_only_what_serves() -> None:
    """Promise: an image without the packages that build networks runs every command that needs none of them."""
    script = (
        "import sys\n"
        "from importlib.abc import MetaPathFinder\n"
        "class Absent(MetaPathFinder):\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('onnx', 'rapidocr', 'nudenet', 'onnxruntime', 'torch', 'pytriton'):\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "from moderation.cli.main import app\n"
        "app(['models', 'list'])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert "text-recognizer:1" in done.stdout


def test_an_images_python_backend_is_linked_and_the_wheels_is_put_together(tmp_path: Path) -> None:
    """Promise: nothing that runs lies in a temporary folder, which may be mounted noexec, where the server has it."""
    root = tmp_path / "tritonserver"
    folder = root / "backends" / "python"
    folder.mkdir(parents=True)
    (root / "bin").mkdir()
    for path in (
        root / "bin" / "tritonserver",
        *(folder / n for n in ("libtriton_python.so", "triton_python_backend_utils.py", "triton_python_backend_stub")),
    ):
        path.touch()
    staged = stage_backends(install.find_server(root), tmp_path / "image")
    assert (staged / "python").resolve() == folder
    staged = stage_backends(install.find_server(), tmp_path / "wheel")
    assert not (staged / "python").is_symlink()
    assert (staged / "python" / "triton_python_backend_stub").stat().st_mode & 0o100


def test_a_network_built_while_serving_can_be_loaded(tmp_path: Path) -> None:
    """Promise: a version that is added and built is served as a whole; one that is not built is not."""
    repository = Path(shutil.copytree(REPOSITORY, tmp_path / "repository"))
    artefacts = store.artefacts(repository)
    assert artefacts, "no network is built; run `make models`"
    served = assemble_repository(repository, tmp_path / "served", artefacts)
    assert add_versions(repository, served, store.openvino()) == []
    (model, version), *_ = sorted(artefacts)
    shutil.copytree(repository / model / version, repository / model / "7")
    shutil.copytree(repository / model / version, repository / model / "8")
    manifest = repository / model / "8" / "model.yaml"
    manifest.write_text(manifest.read_text() + "# another digest, not built\n")
    assert add_versions(repository, served, store.openvino()) == [f"{model}:7"]
    names = {path.name for path in (served / model / "7").iterdir()}
    assert names == {path.name for path in (served / model / version).iterdir()}
    assert not (served / model / "8").exists()
