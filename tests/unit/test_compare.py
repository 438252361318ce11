"""The parts of the side-by-side benchmark: what is asked, when, how it is counted, and that it goes on."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.compare import load, meter
from bench.compare.journal import Journal
from bench.compare.load import Call
from bench.compare.overhead import covered, orchestration_ms, spans
from bench.compare.pictures import MIXES, Pictures, variant
from bench.compare.steps import SIZES, Row, Step, plan
from moderation import contract
from moderation.samples import render

SERVICE_S = 0.05


class Slow(BaseHTTPRequestHandler):
    """Answers one request at a time, each in `SERVICE_S`, and refuses what says so."""

    turn = threading.Lock()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if body == b"refuse":
            self.send_error(503)
            return
        with self.turn:
            time.sleep(SERVICE_S)
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def slow() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def calls(count: int, body: bytes = b"x") -> list[Call]:
    return [Call(str(number), body, {}) for number in range(count)]


def test_a_closed_loop_keeps_its_requests_in_flight(slow: str) -> None:
    """Promise: with four in flight at a server that takes one at a time, most wait for three others."""
    answers = load.closed(slow, calls(12), 4)
    assert len(answers) == 12
    assert all(answer.accepted and answer.body == b"x" for answer in answers)
    assert sorted(a.latency for a in answers)[6] > 2.5 * SERVICE_S
    assert max(answer.ended for answer in answers) >= 12 * SERVICE_S


def test_an_open_loop_waits_for_nobody(slow: str) -> None:
    """Promise: arrivals at twice the capacity pile up, and waiting to be sent counts as waiting."""
    answers = load.poisson(slow, calls(5), 2 / SERVICE_S, 1.0)
    assert 20 < len(answers) < 70  # of one seed, so always the same
    assert answers == sorted(answers, key=lambda a: a.due)
    assert answers[-1].latency > 5 * SERVICE_S
    again = load.poisson(slow, calls(1), 5, 0.5)
    assert [a.due for a in again] == [a.due for a in load.poisson(slow, calls(1), 5, 0.5)]  # one seed, one timetable


def test_refusals_and_dead_servers_are_answers_too(slow: str) -> None:
    """Promise: what is not accepted is counted and never raises."""
    assert [a.status for a in load.closed(slow, calls(1, b"refuse"), 1)] == [503]
    assert [a.status for a in load.closed("http://127.0.0.1:1/", calls(1), 1)] == [0]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Drawn pictures in the layout of the real ones."""
    samples = render()
    photos, texts = tmp_path / "people_photos" / "people", tmp_path / "ocr"
    photos.mkdir(parents=True)
    texts.mkdir()
    rows = []
    for number in range(12):
        (photos / f"{number:02}.png").write_bytes(samples["sunset.png"])
        (texts / f"{number:02}.jpg").write_bytes(samples["notice.jpg"])
        rows.append({"file": f"{number:02}.jpg", "lines": ["x"] * number})
    (texts / "labels.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return tmp_path


def test_no_lap_repeats_a_picture_of_another(data: Path) -> None:
    """Promise: a server that remembers answers gains nothing, except in `repeats`."""
    pictures = Pictures(data, 4)
    assert pictures.missing() is None
    for mix in MIXES:
        asked = pictures.laps(mix, 3, 20)
        assert len(asked) == 80
        seen = {picture.data for picture in asked}
        names = {picture.name for picture in asked}
        if mix == "repeats":
            assert len(names) <= 0.2 * len(asked)
        else:
            assert len(names) == len(asked)
            # the drawn pictures are the same file under several names, so laps and not files differ here
            assert len(seen) >= 20
    photos = sum(picture.name.split("#")[0].endswith(".png") for picture in pictures.laps("mixed", 0, 1))
    assert photos == 2


def test_text_is_the_pictures_with_the_most_lines(data: Path) -> None:
    """Promise: `texts` is text-heavy."""
    assert {path.name for path in Pictures(data, 4).files("texts")} == {"08.jpg", "09.jpg", "10.jpg", "11.jpg"}


def test_variants_are_the_same_each_time(data: Path) -> None:
    """Promise: every contender gets the same bytes."""
    path = data / "ocr" / "00.jpg"
    assert variant(path, 0).data == path.read_bytes()
    first = variant(path, 5).data
    variant.cache_clear()
    assert variant(path, 5).data == first != variant(path, 6).data


def test_missing_pictures_are_a_reason_not_an_error(tmp_path: Path) -> None:
    """Promise: without the real images the benchmark says why it does nothing."""
    assert "may not be redistributed" in str(Pictures(tmp_path, 4).missing())


@pytest.mark.parametrize("size", SIZES)
def test_every_step_is_made_once_and_asks_for_laps_of_its_own(size: str) -> None:
    """Promise: an interrupted run can tell what is done, and measurements of a contender share no pictures."""
    steps = plan(SIZES[size])
    assert len({step.key for step in steps}) == len(steps)
    asked = [(step.contender, step.kind == "single", step.mix, step.number) for step in steps]
    assert len(set(asked)) == len(asked)


def row(step: Step, rate: float) -> Row:
    return Row(asdict(step), 1, 1.0, rate, {"p50": 1.0}, None, {"200": 1}, 0.1, 1.0)


def test_a_run_goes_on_where_it_was(tmp_path: Path) -> None:
    """Promise: what is measured is kept; other settings or another commit begin anew."""
    path, step = tmp_path / "x" / "j.jsonl", plan(SIZES["short"])[0]
    journal = Journal(path, {"tree": "a"})
    assert not journal.has(step)
    journal.add(row(step, 2.0))
    again = Journal(path, {"tree": "a"})
    assert again.has(step)
    assert again.rate(step.contender, step.mix) == 2.0
    assert not Journal(path, {"tree": "b"}).has(step)


def test_the_rate_of_a_mixture_is_known_from_its_parts(tmp_path: Path) -> None:
    """Promise: half photos at 6/s and half texts at 2/s make 3/s."""
    journal = Journal(tmp_path / "j.jsonl", {})
    for mix, rate in (("photos", 6.0), ("texts", 2.0)):
        journal.add(row(Step("warm", mix, "triton", 2, 0, 0), rate))
    assert journal.rate("triton", "mixed") == pytest.approx(3.0)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50))))
def test_time_that_is_covered_counts_once(pairs: list[tuple[int, int]]) -> None:
    """Promise: stages that run side by side are not counted twice."""
    intervals = [(min(pair), max(pair)) for pair in pairs]
    assert covered(intervals) == len({moment for start, end in intervals for moment in range(start, end)})


def test_orchestration_is_what_no_stage_works_for(tmp_path: Path) -> None:
    """Promise: of 10 ms with stages at 1-4 and 3-8 ms, 3 ms are orchestration; what stages call is theirs."""
    file = tmp_path / "trace.json"

    def stamps(**times: float) -> list[dict[str, object]]:
        return [{"name": name, "ns": round(ms * 1e6)} for name, ms in times.items()]

    file.write_text(
        json.dumps(
            [
                {"id": 1, "model_name": contract.ENTRY, "timestamps": stamps(REQUEST_START=0)},
                {"id": 2, "model_name": "a", "parent_id": 1, "timestamps": stamps(COMPUTE_START=1, COMPUTE_END=4)},
                {"id": 3, "model_name": "b", "parent_id": 1, "timestamps": stamps(COMPUTE_START=3, COMPUTE_END=8)},
                {"id": 4, "model_name": "c", "parent_id": 3, "timestamps": stamps(COMPUTE_START=0, COMPUTE_END=10)},
                {"id": 1, "timestamps": stamps(REQUEST_END=10)},
            ]
        )
    )
    assert orchestration_ms(spans(file)) == [pytest.approx(3.0)]


def test_the_meter_sees_this_process() -> None:
    """Promise: CPU time and memory are those of real processes; one that is gone counts nothing."""
    import os

    before = meter.cpu_seconds([os.getpid()])
    end = time.process_time() + 0.1
    while time.process_time() < end:
        pass
    assert meter.cpu_seconds([os.getpid()]) - before >= 0.05
    assert meter.memory_mb([os.getpid()]) > 10
    assert meter.cpu_seconds([2**22 + 1]) == 0
