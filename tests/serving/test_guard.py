"""Authentication, quotas and the audit log on the real server, over both protocols."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.http
import yaml
from tritonclient.utils import InferenceServerException

from moderation import contract
from moderation.access.keys import LOOK_S
from moderation.audit.erase import decisions
from moderation.audit.keys import PUBLIC
from moderation.audit.verify import verify
from moderation.client import Client
from moderation.errors import InputError, ModerationError, ServerError
from moderation.launcher.admin import RESTRICTED
from moderation.samples import EXPECTED, render
from serving.conftest import COMMAND, Running, launched, wait_until
from tokens import AUDIENCE, ISSUER, Provider, bearer

SAMPLES = render()
PICTURE = SAMPLES["sunset.png"]
ALL_LOOKED_S = LOOK_S + 0.1
"""Every instance looks at the keys when it is asked so long after a change."""


@dataclass(frozen=True)
class Guarded:
    """A server that wants tokens, and who issues them."""

    running: Running
    provider: Provider
    log: Path
    triton_log: Path

    def client(self, protocol: str, token: str | None, **more: str) -> Client:
        url = self.running.http if protocol == "http" else self.running.grpc
        return Client(url, headers={**(bearer(token) if token else {}), **more})


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("guarded")
    provider = Provider(folder / "jwks.json")
    provider.add("first")
    provider.publish()
    settings = {
        "access": {
            "mode": "required",
            "clock_skew_s": 5,
            "issuers": [{"issuer": ISSUER, "audience": AUDIENCE, "jwks": "jwks.json"}],
        },
        "tenants": {
            "acme": {"profile": "strict", "profiles": ["children"]},
            "slow": {"images_per_second": 0.01, "burst": 2},
            "narrow": {"concurrency": 1},
            "small": {"max_images": 2, "max_bytes": 100_000, "max_pixels": 1000, "deadline_ms": 9000},
        },
        "audit": {"mode": "required", "folder": "audit", "checkpoint_records": 5},
    }
    (folder / "security.yaml").write_text(yaml.safe_dump(settings))
    with launched(folder, f"--security={folder / 'security.yaml'}") as running:
        yield Guarded(running, provider, folder / "audit", folder / "triton.log")


@pytest.fixture(params=["http", "grpc"])
def protocol(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_token_opens_the_door(guarded: Guarded, protocol: str) -> None:
    """Promise: with a valid token the decision is that of the tenant's own profile."""
    with guarded.client(protocol, guarded.provider.token()) as client:
        (result,) = client.moderate([SAMPLES["scam.webp"]])
    assert (result["decision"], result["versions"]["policy"]) == ("block", "1@strict")
    assert "audit" not in result


@pytest.mark.parametrize(
    ("claims", "sentence"),
    [
        (None, "unauthenticated: send `authorization: Bearer <token>`"),
        ({"exp": int(time.time()) - 60}, "expired"),
        ({"nbf": int(time.time()) + 86400}, "not valid yet"),
        ({"aud": "somebody else"}, "another audience"),
        ({"iss": "https://evil.example"}, "issuer that is not known"),
        ({"scope": "audit"}, "scope `moderate`"),
        ({"tenant": "stranger"}, "tenant is not known"),
        ({"tenant": None}, "names no tenant"),
    ],
    ids=lambda value: str(value)[:24],
)
def test_everything_else_stays_outside(
    guarded: Guarded, protocol: str, claims: dict[str, Any] | None, sentence: str
) -> None:
    """Promise: without a token that is right in every claim there is no decision, and the sentence says why."""
    token = None if claims is None else guarded.provider.token(**claims)
    with guarded.client(protocol, token) as client, pytest.raises(InputError, match=sentence):
        client.moderate([PICTURE])


def test_a_token_may_come_as_a_parameter(guarded: Guarded) -> None:
    """Promise: /generate, which forwards no headers, takes the token as a parameter."""
    body = {"IMAGE_B64": base64.b64encode(PICTURE).decode(), "authorization": f"Bearer {guarded.provider.token()}"}
    url = f"{guarded.running.http}/v2/models/{contract.ENTRY}/generate"
    with urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode()), timeout=30) as answer:
        assert json.load(answer)["DECISION"] == "allow"
    del body["authorization"]
    with pytest.raises(urllib.error.HTTPError, match="400"):
        urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode()), timeout=30)


def test_keys_rotate_without_a_restart(guarded: Guarded) -> None:
    """Promise: a key added to the JWKS counts within seconds, and one taken out no longer does."""
    guarded.provider.add("second")
    old, new = guarded.provider.token(kid="first"), guarded.provider.token(kid="second")

    def accepted(token: str) -> bool:
        try:
            with guarded.client("http", token) as client:
                return bool(client.moderate([PICTURE]))
        except InputError:
            return False

    assert (accepted(old), accepted(new)) == (True, False)
    guarded.provider.publish("second")
    wait_until(lambda: accepted(new) and not accepted(old), 15)
    time.sleep(ALL_LOOKED_S)
    assert not any(accepted(old) for _ in range(8))
    guarded.provider.publish("first", "second")
    time.sleep(ALL_LOOKED_S)
    assert all(accepted(old) for _ in range(8))


def test_profiles_belong_to_tenants(guarded: Guarded, protocol: str) -> None:
    """Promise: a tenant chooses among its own profiles only; the scope `admin` among all."""
    with guarded.client(protocol, guarded.provider.token()) as client:
        (result,) = client.moderate([PICTURE], policy="children")
        assert result["versions"]["policy"] == "1@children"
        with pytest.raises(InputError, match="not a profile of this tenant"):
            client.moderate([PICTURE], policy="lenient")
    with guarded.client(protocol, guarded.provider.token(scope="moderate admin")) as client:
        (result,) = client.moderate([PICTURE], policy="lenient")
        assert result["versions"]["policy"] == "1@lenient"


def test_the_rate_holds_over_all_instances(guarded: Guarded) -> None:
    """Promise: however many processes answer, a tenant gets its burst and no image more; others are not touched."""
    token = guarded.provider.token("slow")

    def ask(_: int) -> str:
        try:
            with guarded.client("grpc", token) as client:
                client.moderate([PICTURE])
            return "decided"
        except ServerError as error:
            return "refused" if "quota of 0.01 images a second is used up" in str(error) else str(error)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(16)))
    assert sorted(answers) == ["decided"] * 2 + ["refused"] * 14
    with guarded.client("grpc", guarded.provider.token()) as client:
        assert client.moderate([PICTURE])


def test_concurrency_is_bounded(guarded: Guarded) -> None:
    """Promise: a tenant with one image at a time gets the second refused at once, and its place back afterwards."""
    token = guarded.provider.token("narrow")
    with guarded.client("http", token) as client:
        with pytest.raises(ServerError, match="the quota is 1 at a time"):
            client.moderate([PICTURE, PICTURE])
        for _ in range(3):
            assert client.moderate([PICTURE])


def test_a_cancelled_call_gives_its_place_back(guarded: Guarded) -> None:
    """Promise: a caller that cancels at whatever moment does not use up its quota for ever."""
    token = guarded.provider.token("narrow")
    client = tritonclient.grpc.InferenceServerClient(guarded.running.grpc.split("//")[1])
    tensor = tritonclient.grpc.InferInput("IMAGE", [1, 1], "BYTES")
    tensor.set_data_from_numpy(np.array([[PICTURE]], dtype=np.object_))
    for pause in (0.0, 0.005, 0.02, 0.05, 0.1, 0.2):
        call = client.async_infer(contract.ENTRY, [tensor], lambda result, error: None, headers=bearer(token))
        time.sleep(pause)
        call.cancel()

    def decided() -> bool:
        try:
            with guarded.client("grpc", token) as again:
                return bool(again.moderate([PICTURE]))
        except ServerError:
            return False

    wait_until(decided, 15)


def test_limits_of_a_tenant_are_narrower(guarded: Guarded, protocol: str) -> None:
    """Promise: images a request, bytes and pixels of an image are bounded for each tenant."""
    with guarded.client(protocol, guarded.provider.token("small")) as client:
        with pytest.raises(InputError, match="at most 2 are accepted from this tenant"):
            client.moderate([PICTURE] * 3)
        with pytest.raises(InputError, match="at most 1000 are accepted"):
            client.moderate([PICTURE])
        with pytest.raises(InputError, match="at most 100000 are accepted"):
            client.moderate([PICTURE + bytes(100_000)])


@pytest.mark.parametrize(
    "model",
    [contract.PREPROCESSOR, contract.OCR, contract.DECISION_LOGIC, contract.SAFETY, contract.TEXT_DETECTOR],
)
def test_internal_models_answer_to_the_pipeline_only(guarded: Guarded, protocol: str, model: str) -> None:
    """Promise: with authentication on, nobody reaches a stage past the entry model, not even with a token."""
    module: Any = tritonclient.http if protocol == "http" else tritonclient.grpc
    port = (guarded.running.http if protocol == "http" else guarded.running.grpc).split("//")[1]
    tensor = contract.MODELS[model].inputs[0]
    shape = [64 if side == -1 else side for side in tensor.dims]
    if contract.MODELS[model].batched:
        shape = [1, *shape]
    data = np.full(shape, b"{}", dtype=object) if tensor.dtype == "STRING" else np.zeros(shape, np.uint8)
    given = module.InferInput(tensor.name, shape, "BYTES" if tensor.dtype == "STRING" else tensor.dtype)
    given.set_data_from_numpy(data)
    with pytest.raises(InferenceServerException, match="answers to the pipeline only"):
        module.InferenceServerClient(port).infer(
            model, [given], headers=bearer(guarded.provider.token()), parameters={"internal_key": "guess"}
        )


@pytest.mark.parametrize(
    "path",
    [
        "/v2/repository/index",
        f"/v2/repository/models/{contract.ENTRY}/unload",
        "/v2/trace/setting",
        "/v2/logging",
        "/v2/systemsharedmemory/status",
        f"/v2/models/{contract.ENTRY}/stats",
    ],
)
def test_management_is_closed(guarded: Guarded, path: str) -> None:
    """Promise: Triton's management APIs want the token of this run."""
    body = b"{}" if "repository" in path else None
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(urllib.request.Request(guarded.running.http + path, body), timeout=10)
    assert refused.value.code == 403
    guarded.running.control.index()


def test_management_is_closed_over_grpc(guarded: Guarded) -> None:
    """Promise: the same over gRPC."""
    client = tritonclient.grpc.InferenceServerClient(guarded.running.grpc.split("//")[1])
    for ask in (
        client.get_model_repository_index,
        lambda: client.unload_model(contract.ENTRY),
        client.get_trace_settings,
        client.get_log_settings,
        client.get_system_shared_memory_status,
        client.get_inference_statistics,
    ):
        with pytest.raises(InferenceServerException, match="restricted"):
            ask()
    assert len(RESTRICTED) == 5


def test_every_decision_is_on_record_before_its_reply(guarded: Guarded, protocol: str) -> None:
    """Promise: with `audit: required` the reply's receipt is in the log, with who, which picture, what and why."""
    token = guarded.provider.token(scope="moderate audit")
    with guarded.client(protocol, token, **{"x-subject": "user-7"}) as client:
        (result,) = client.moderate([SAMPLES["threat.jpg"]], request_id="trace-me")
    found = {record.seq: (record, body) for record, body in decisions(guarded.log, None)}
    record, body = found[result["audit"]["seq"]]
    assert record.hash == result["audit"]["hash"]
    wanted = {"tenant": "acme", "client": "client-1", "subject": "user-7", "request_id": "trace-me"}
    assert wanted.items() <= body.items()
    assert body["decision"] == EXPECTED["threat.jpg"] == "block"
    assert body["image"]["sha256"] == result["image"]["sha256"]
    assert {r["rule"] for r in body["reasons"]} == {r["rule"] for r in result["reasons"]}
    assert body["versions"] == result["versions"]
    report = verify(guarded.log, guarded.log / PUBLIC, {record.seq: record.hash})
    assert report.faults == []


def test_what_callers_send_stays_data(guarded: Guarded) -> None:
    """Promise: newlines, terminal codes and fake JSON in a caller's fields forge no line of the log."""
    nasty = '"}\n{"seq":1,"kind":"decision"}\r\x1b[2J\u2028'
    body = {
        "IMAGE_B64": base64.b64encode(PICTURE).decode(),
        "TEXT": nasty,
        "authorization": f"Bearer {guarded.provider.token(sub=nasty)}",
        "x-subject": nasty,
        "x-request-id": nasty,
    }
    url = f"{guarded.running.http}/v2/models/{contract.ENTRY}/generate"
    with urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode()), timeout=30) as answer:
        assert json.loads(json.load(answer)["RESULT"])["request_id"] == nasty
    bodies = [found for _, found in decisions(guarded.log, None) if found["request_id"] == nasty]
    assert [(b["subject"], b["client"]) for b in bodies] == [(nasty, nasty)]
    for segment in guarded.log.glob("*.jsonl"):
        assert not set(segment.read_bytes()) - set(range(32, 127)) - {10}
    assert verify(guarded.log, guarded.log / PUBLIC).faults == []


def test_a_person_can_be_forgotten_while_the_server_runs(guarded: Guarded) -> None:
    """Promise: after `audit purge` nothing of the person is left, the chain still verifies and goes on."""
    person = "please-forget-me@example.org"
    with guarded.client("http", guarded.provider.token(), **{"x-subject": person}) as client:
        for _ in range(3):
            client.moderate([PICTURE])

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([COMMAND, "audit", *words], capture_output=True, text=True, timeout=60)

    assert run("export", str(guarded.log), f"--subject={person}").stdout.count(person) == 3
    purged = run("purge", str(guarded.log), f"--subject={person}")
    assert "3 records" in purged.stdout, purged.stderr
    with guarded.client("http", guarded.provider.token()) as client:
        client.moderate([PICTURE])
    assert not any(person.encode() in path.read_bytes() for path in guarded.log.iterdir())
    checked = run("verify", str(guarded.log))
    assert checked.returncode == 0, checked.stdout


def test_the_command_line_sends_its_token(guarded: Guarded, tmp_path: Path) -> None:
    """Promise: `moderation check` takes the token from the environment, and is refused without one."""
    (tmp_path / "picture.png").write_bytes(PICTURE)
    command = [str(COMMAND), "check", str(tmp_path / "picture.png"), f"--url={guarded.running.http}"]
    for token, code in ((guarded.provider.token(), 0), ("", 3)):
        answer = subprocess.run(command, capture_output=True, timeout=60, env={**os.environ, "MODERATION_TOKEN": token})
        assert answer.returncode == code, answer.stdout


def test_no_secret_reaches_the_log(guarded: Guarded) -> None:
    """Promise: tokens and keys stand in no log line."""
    token = guarded.provider.token()
    with guarded.client("http", token + "x") as client, pytest.raises(ModerationError):
        client.moderate([PICTURE])
    text = guarded.triton_log.read_text(errors="replace") + guarded.running.output.read_text()
    assert token not in text
    assert guarded.running.control._token not in text


def test_refusals_are_counted(guarded: Guarded) -> None:
    """Promise: what is refused and what is on record can be watched."""
    with urllib.request.urlopen(f"{guarded.running.metrics}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    for line in (
        'moderation_denied_total{reason="missing"}',
        'moderation_limited_total{reason="rate"}',
        "moderation_audit_records_total",
    ):
        assert line in text
