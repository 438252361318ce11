"""The entry contract, over both protocols, against the real server."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from moderation import schemas
from moderation.client import Client
from moderation.errors import InputError
from moderation.samples import EXPECTED, render
from serving.conftest import Running

SAMPLES = render()
CORRUPT = b"\xff\xd8\xff\xe0 this is no JPEG"


@pytest.fixture(params=["http", "grpc"])
def client(request: pytest.FixtureRequest, server: Running) -> Iterator[Client]:
    with Client(server.http if request.param == "http" else server.grpc) as client:
        yield client


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_get_their_decision(client: Client, name: str) -> None:
    """Promise: an encoded picture in, the documented decision and a RESULT of the published shape out."""
    (result,) = client.moderate([SAMPLES[name]], request_id="abc-1")
    jsonschema.validate(result, schemas.result())
    assert result["decision"] == EXPECTED[name], result["reasons"]
    assert result["request_id"] == "abc-1"
    assert result["unknown"] == []


def test_evidence_of_text_points_at_the_text(client: Client) -> None:
    """Promise: a reason names the rule, what triggered it and where it stands in the picture."""
    (result,) = client.moderate([SAMPLES["threat.jpg"]])
    found = [r for r in result["reasons"] if r["triggered_by"] == "ocr_text"]
    reason = next(r for r in found if "kill" in r["evidence"]["matched"])
    assert reason["rule"] == "threats-and-self-harm"
    (line,) = [t for t in result["text"] if "kill" in t["text"].lower()]
    assert reason["evidence"]["quad"] == line["quad"]
    assert all(0 <= x <= 640 and 0 <= y <= 400 for x, y in line["quad"])


def test_only_one_frame_of_an_animation_is_bad(client: Client) -> None:
    """Promise: the worst frame decides, and the reply says which one and how many were examined."""
    (result,) = client.moderate([SAMPLES["animation.gif"]])
    assert result["image"]["frames"] == 4
    assert {m["frame"] for m in result["matches"]} == {2}


def test_a_caption_is_moderated_with_its_image(client: Client) -> None:
    """Promise: text beside a harmless picture can block it, and the reason says that it was the caption."""
    (result,) = client.moderate([SAMPLES["sunset.png"]], ["go kill yourself"])
    assert result["decision"] == "block"
    assert {r["triggered_by"] for r in result["reasons"]} == {"caption"}


def test_a_profile_changes_the_decision(client: Client) -> None:
    """Promise: POLICY chooses a profile, and RESULT names it."""
    (result,) = client.moderate([SAMPLES["scam.webp"]], policy="strict")
    assert result["decision"] == "block"
    assert result["versions"]["policy"] == "1@strict"


def test_an_unknown_profile_is_refused_with_the_known_ones(client: Client) -> None:
    """Promise: a typing error in POLICY never silently means the default."""
    with pytest.raises(InputError, match="default"):
        client.moderate([SAMPLES["sunset.png"]], policy="strikt")


def test_one_corrupt_image_fails_alone(client: Client) -> None:
    """Promise: of eight images in one request the seven good ones get decisions, the bad one its own error."""
    names = [
        "sunset.png",
        "notice.jpg",
        "scam.webp",
        "CORRUPT",
        "threat.jpg",
        "animation.gif",
        "notice.jpg",
        "sunset.png",
    ]
    results = client.moderate([SAMPLES.get(name, CORRUPT) for name in names])
    assert [r["decision"] for r in results] == [EXPECTED.get(name, "error") for name in names]
    for result in results:
        jsonschema.validate(result, schemas.result())
    assert results[3]["error"]["code"] == "INVALID_ARG"


@pytest.mark.parametrize(
    ("image", "words"), [(CORRUPT, "truncated"), (b"", "empty"), (b"GIF89a", "GIF"), (b"hello, world", "format")]
)
def test_a_single_bad_image_is_an_invalid_argument(client: Client, image: bytes, words: str) -> None:
    """Promise: a refused image is the caller's error, in a sentence that names the fault."""
    with pytest.raises(InputError, match=f"(?i){words}"):
        client.moderate([image])


def post(url: str, document: dict[str, Any], headers: dict[str, str] | None = None) -> tuple[int, dict[str, Any]]:
    request = urllib.request.Request(url, json.dumps(document).encode(), headers or {})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def test_plain_json_is_enough(server: Running) -> None:
    """Promise: curl with base64 in plain JSON gets a decision from /generate."""
    encoded = base64.b64encode(SAMPLES["threat.jpg"]).decode()
    url = f"{server.http}/v2/models/content-moderation-ensemble/generate"
    status, answer = post(url, {"IMAGE_B64": encoded})
    assert (status, answer["DECISION"], answer["SEVERITY"]) == (200, "block", 6)
    jsonschema.validate(json.loads(answer["RESULT"]), schemas.result())


def test_wrong_json_is_refused_in_words(server: Running) -> None:
    """Promise: no image, or something that is no base64, is a 400 with a sentence."""
    url = f"{server.http}/v2/models/content-moderation-ensemble/generate"
    assert post(url, {"TEXT": "hello"})[0] == 400
    status, answer = post(url, {"IMAGE_B64": "%%%"})
    assert status == 400
    assert "base64" in answer["error"]


def test_the_request_id_header_comes_back(server: Running) -> None:
    """Promise: x-request-id follows a request through to RESULT."""
    encoded = base64.b64encode(SAMPLES["sunset.png"]).decode()
    document = {"inputs": [{"name": "IMAGE_B64", "shape": [1, 1], "datatype": "BYTES", "data": [encoded]}]}
    url = f"{server.http}/v2/models/content-moderation-ensemble/infer"
    _, answer = post(url, document, {"x-request-id": "from-a-header"})
    result = next(o for o in answer["outputs"] if o["name"] == "RESULT")
    assert json.loads(result["data"][0])["request_id"] == "from-a-header"


def test_a_deadline_is_kept(server: Running) -> None:
    """Promise: a request that cannot be done in its time ends as unavailable, and a wrong deadline is named."""
    encoded = base64.b64encode(SAMPLES["animation.gif"]).decode()
    tensor = {"name": "IMAGE_B64", "shape": [1, 1], "datatype": "BYTES", "data": [encoded]}
    url = f"{server.http}/v2/models/content-moderation-ensemble/infer"
    status, answer = post(url, {"inputs": [tensor], "parameters": {"deadline_ms": 1}})
    assert status == 503, answer
    assert "deadline" in answer["error"]
    status, answer = post(url, {"inputs": [tensor], "parameters": {"deadline_ms": -5}})
    assert status == 400
    assert "deadline_ms" in answer["error"]
