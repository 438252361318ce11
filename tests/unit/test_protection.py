"""What the launcher does before it starts the server: addresses, secrets, TLS, caches."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from moderation.errors import ConfigError, LaunchError
from moderation.guard.settings import load
from moderation.launcher import admin, protection
from moderation.launcher.preflight import Ports
from moderation.launcher.protection import Protection, Tls

OPEN = Protection()
REQUIRED = {
    "access": {"mode": "required", "issuers": [{"issuer": "i", "audience": "a", "secret": "secret"}]},
}


@pytest.fixture(autouse=True)
def private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens of these tests lie in a folder of their own."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))


def guarded(folder: Path) -> Protection:
    (folder / "secret").write_bytes(b"s" * 32)
    (folder / "security.yaml").write_text(yaml.safe_dump(REQUIRED))
    return Protection(folder / "security.yaml")


@pytest.mark.parametrize(
    ("address", "extra"),
    [
        ("0.0.0.0", ()),
        ("::", ()),
        ("192.168.0.7", ()),
        ("some-host", ()),
        ("127.0.0.1", ("--http-address=0.0.0.0",)),
        ("127.0.0.1", ("--grpc-address", "0.0.0.0")),
        ("127.0.0.1", ("--metrics-address=10.0.0.1",)),
    ],
)
def test_nobody_serves_everybody_by_accident(tmp_path: Path, address: str, extra: tuple[str, ...]) -> None:
    """Promise: beyond loopback only with authentication, or when somebody says so; options of Triton count too."""
    with (
        pytest.raises(LaunchError, match="listens on loopback only"),
        protection.prepared(OPEN, address, Ports(), extra, tmp_path),
    ):
        pass
    with protection.prepared(Protection(open_to_all=True), address, Ports(), extra, tmp_path):
        pass
    with protection.prepared(guarded(tmp_path), address, Ports(), extra, tmp_path):
        pass


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.9", "::1", "localhost"])
def test_loopback_is_open(tmp_path: Path, address: str) -> None:
    """Promise: on loopback nothing is asked for."""
    with protection.prepared(OPEN, address, Ports(), (), tmp_path) as made:
        assert "MODERATION_INTERNAL_KEY" not in made.environment


def test_secrets_are_fresh_private_and_gone_afterwards(tmp_path: Path) -> None:
    """Promise: each run has its own tokens, in files of mode 0600, which are removed at its end."""
    seen = set()
    for _ in range(2):
        with protection.prepared(guarded(tmp_path), "127.0.0.1", Ports(1, 2, 3), (), tmp_path) as made:
            key = Path(made.environment["MODERATION_INTERNAL_KEY"])
            files = [key, *(tmp_path / "run" / "moderation").iterdir()]
            assert len(files) == 3
            assert all(path.stat().st_mode & 0o777 == 0o600 for path in files)
            assert admin.token_for("http://127.0.0.1:1") == admin.token_for("localhost:2") == made.admin_token
            assert all(made.admin_token in flag for flag in made.argv)
            assert "model-repository,trace,logging,shared-memory,statistics" in made.argv[0]
            seen |= {key.read_text(), made.admin_token}
        key.unlink(missing_ok=True)
        assert admin.token_for("http://127.0.0.1:1") == ""
    assert len(seen) == 4


def test_a_token_goes_to_its_own_machine_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Promise: the token of a local server is never sent to another host; one from the environment is meant for it."""
    with protection.prepared(OPEN, "127.0.0.1", Ports(8000), (), tmp_path):
        assert admin.token_for("http://127.0.0.1:8000")
        assert admin.token_for("http://evil.example:8000") == ""
    monkeypatch.setenv(admin.ENVIRONMENT, "given")
    assert admin.token_for("http://far.example:8000") == "given"


def test_a_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    """Promise: tokens are not written where others could read or exchange them."""
    folder = tmp_path / "run" / "moderation"
    folder.mkdir(parents=True, mode=0o777)
    os.chmod(folder, 0o777)  # noqa: PTH101 - past the umask
    with pytest.raises(LaunchError, match="can be used by others"):
        admin.create((1,))
    folder.rmdir()
    folder.symlink_to(tmp_path)
    with pytest.raises(LaunchError, match="can be used by others"):
        admin.create((1,))


def test_management_stays_open_only_when_asked(tmp_path: Path) -> None:
    """Promise: `--open-admin` and nothing else leaves the management APIs open."""
    with protection.prepared(Protection(open_admin=True), "127.0.0.1", Ports(), (), tmp_path) as made:
        assert (made.argv, made.admin_token) == ([], "")


def test_tls_is_all_or_nothing(tmp_path: Path) -> None:
    """Promise: half of a pair, or a file that is not there, stops the start."""
    here = tmp_path / "file"
    here.touch()
    with pytest.raises(LaunchError, match="both --tls-cert and --tls-key"):
        Tls(here).flags()
    with pytest.raises(LaunchError, match="is not there"):
        Tls(here, tmp_path / "no").flags()
    assert Tls().flags() == []
    assert "--grpc-use-ssl-mutual=true" in Tls(here, here, here).flags()


def test_no_cache_answers_before_the_token_is_asked_for(tmp_path: Path) -> None:
    """Promise: with authentication a configuration with a response cache is refused, in the profile that is served."""
    model = tmp_path / "models" / "m"
    (model / "configs").mkdir(parents=True)
    (model / "config.pbtxt").write_text("response_cache { enable: true }")
    (model / "configs" / "cpu.pbtxt").write_text("response_cache { enable: false }")
    protection.check_caches(tmp_path / "models", "default", OPEN)
    protection.check_caches(tmp_path / "models", "cpu", guarded(tmp_path))
    with pytest.raises(LaunchError, match="response_cache is enabled for m"):
        protection.check_caches(tmp_path / "models", "default", guarded(tmp_path))


def test_all_faults_of_the_file_come_at_once(tmp_path: Path) -> None:
    """Promise: every fault of security.yaml with its line, value and what is allowed."""
    path = tmp_path / "security.yaml"
    path.write_text(
        "access: {mode: requierd}\ntenants:\n  acme: {images_per_second: -1, prioritty: high}\n"
        "audit: {mode: required}\nx: 1\n"
    )
    with pytest.raises(ConfigError) as refused:
        load(path)
    text = refused.value.message
    assert "5 faults" in text
    for part in (":1: access.mode is 'requierd'", "did you mean `required`", ":3: tenants.acme.images_per_second"):
        assert part in text
    assert "did you mean `priority`" in text
    assert "needs a `folder`" in text


@pytest.mark.parametrize("text", ["", "[]", "access: [", "access: {mode: required}", "- a\n- b", "access: 7"])
def test_no_file_crashes_the_loader(tmp_path: Path, text: str) -> None:
    """Promise: what is no security.yaml is refused in words, and never means that everybody may ask."""
    path = tmp_path / "security.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError):
        load(path)
