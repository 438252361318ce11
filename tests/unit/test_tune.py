"""Sweeps, settings in configuration files, and who wins a comparison."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from moderation import contract
from moderation.errors import ConfigError
from moderation.launcher.preflight import Ports
from moderation.launcher.run import REPOSITORY
from moderation.tune import search, settings
from moderation.tune.candidates import State, dump, named, parse
from moderation.tune.judge import Round, decide
from moderation.tune.run import CONFIGS, Outcome
from moderation.tune.space import Judge, Space, load

COUNT = ("instance_group", "count")
DELAY = ("dynamic_batching", "max_queue_delay_microseconds")
THREADS = ("parameters", "threads", "string_value")
SWEEPS = sorted(CONFIGS.glob("*/*.yaml"))
RULES = Judge(rounds=5, margin=0.03)


def profile_file(model: str, profile: str) -> Path:
    folder = REPOSITORY / model
    return folder / "config.pbtxt" if profile == "default" else folder / "configs" / f"{profile}.pbtxt"


@pytest.fixture
def sweep(tmp_path: Path) -> Any:
    """Writes a changed copy of a real sweep."""

    def write(change: Any) -> Path:
        document = yaml.safe_load((CONFIGS / "cpu" / f"{contract.OCR}.yaml").read_text())
        change(document)
        path = tmp_path / "sweep.yaml"
        path.write_text(yaml.safe_dump(document))
        return path

    return write


def test_there_is_a_sweep_for_every_network_for_reading_and_for_the_whole() -> None:
    """Promise: both profiles can be tuned from the networks up to the pipeline."""
    wanted = {m.name for m in contract.MODELS.values() if m.network} - {contract.SAFETY_CLASSIFIER}
    for profile in ("cpu", "default"):
        assert {p.stem for p in SWEEPS if p.parent.name == profile} == wanted | {contract.OCR, contract.ENTRY}


@pytest.mark.parametrize("path", SWEEPS, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_every_sweep_can_be_written_back(path: Path) -> None:
    """Promise: each value of each axis has a place in its configuration file, and Triton's parser finds it there."""
    space = load(path)
    assert space.model == path.stem
    limit = space.analyzer["profile_models"][space.model]["constraints"]["perf_latency_p95"]["max"]
    assert limit == space.judge.p95_ms  # one limit, for the search and for the judge
    for axis in space.fixed:
        present = settings.read(profile_file(axis.model, path.parent.name).read_text(), axis.path)
        assert [str(value) for value in axis.values] == [str(present)], axis
    for axis in space.axes:
        text = profile_file(axis.model, path.parent.name).read_text()
        for value in axis.values:
            changed = settings.edit(text, axis.path, value)
            assert str(settings.read(changed, axis.path)) == str(value)
            before, after = text.splitlines(), changed.splitlines()
            assert sum(a != b for a, b in zip(before, after, strict=False)) + abs(len(after) - len(before)) <= 1


@pytest.mark.parametrize("path", SWEEPS, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_devices_are_those_of_the_profile(path: Path) -> None:
    """Promise: a sweep never moves a model to another device."""
    document = load(path).analyzer
    for entry in (document["profile_models"], *document.get("bls_composing_models", [])):
        for model, varied in entry.items():
            for group in varied["model_config_parameters"].get("instance_group", []):
                assert group["kind"] in profile_file(model, path.parent.name).read_text()


def test_a_file_that_is_changed_keeps_its_comments() -> None:
    """Promise: what a person wrote around a setting stays."""
    text = profile_file(contract.TEXT_DETECTOR, "cpu").read_text()
    changed = settings.edit(text, COUNT, 7)
    assert [line for line in changed.splitlines() if line.startswith("#")] == [
        line for line in text.splitlines() if line.startswith("#")
    ]
    assert settings.edit(changed, COUNT, settings.read(text, COUNT) or 0) == text


def test_a_parameter_that_is_not_there_is_added() -> None:
    """Promise: a new setting lands in the file as Triton reads it."""
    changed = settings.edit(profile_file(contract.OCR, "cpu").read_text(), ("parameters", "batch", "string_value"), "8")
    assert settings.read(changed, ("parameters", "batch", "string_value")) == "8"


def test_a_setting_without_a_place_is_refused() -> None:
    """Promise: no change is lost silently."""
    with pytest.raises(ConfigError, match="dynamic_batching"):
        settings.edit(profile_file(contract.OCR, "cpu").read_text(), DELAY, 5)


def test_settings_of_a_running_server() -> None:
    """Promise: what Triton's JSON has is read and changed in a copy; 64-bit numbers, which are text there, too."""
    config = {
        "instance_group": [{"count": 2, "kind": "KIND_CPU"}],
        "dynamic_batching": {"max_queue_delay_microseconds": "500"},
        "parameters": {"threads": {"string_value": "1"}},
    }
    before = json.dumps(config)
    assert [settings.get(config, p) for p in (COUNT, DELAY, THREADS)] == [2, 500, "1"]
    assert settings.get(config, ("parameters", "none", "string_value")) is None
    assert settings.get({}, DELAY) == 0  # protobuf leaves out zeros
    assert settings.get(settings.put(config, COUNT, 3), COUNT) == 3
    assert settings.get(settings.put(config, THREADS, "2"), THREADS) == "2"
    assert settings.get(settings.put({}, DELAY, 7), DELAY) == 7
    assert json.dumps(config) == before


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d["judge"].update(sekonds=1), "did you mean `seconds`"),
        (lambda d: d["judge"].update(rounds="many"), "judge.rounds is `many`"),
        (lambda d: d["judge"].update(search="fast"), "in-turn"),
        (lambda d: d.update(bls_composing_models={"text-detector": {}}), "list of one-key mappings"),
        (lambda d: d["bls_composing_models"].append({"text-detectr": {}}), "did you mean `text-detector`"),
        (lambda d: d["profile_models"].update(other={}), "names 2 models"),
        (lambda d: d["profile_models"]["ocr-engine"]["model_config_parameters"].update(sequence={"n": [1]}), "written"),
    ],
)
def test_faults_of_a_sweep_are_named(sweep: Any, change: Any, words: str) -> None:
    """Promise: a wrong file says what is wrong before anything is measured."""
    with pytest.raises(ConfigError, match=words):
        load(sweep(change))


def test_all_faults_at_once(sweep: Any) -> None:
    """Promise: nobody corrects a file fault by fault."""

    def change(document: dict[str, Any]) -> None:
        document["judge"]["what"] = 1
        document["bls_composing_models"] = {}

    with pytest.raises(ConfigError, match=r"judge\.what.*bls_composing_models"):
        load(sweep(change))


def rounds(*rates: tuple[float, ...], p95: tuple[float, ...] = ()) -> list[Round]:
    return [Round(each, p95 or (1.0,) * len(each)) for each in rates]


def test_a_candidate_that_is_faster_every_time_wins() -> None:
    """Promise: differences within a round count, however far rounds differ."""
    found = decide(rounds((10, 11), (5, 5.5), (20, 22), (8, 8.8), (1, 1.1)), RULES)
    assert found.winner == 1
    assert found.gains[1] == pytest.approx(0.1)
    assert found.wins[1] == 5


def test_one_lucky_measurement_does_not_win() -> None:
    """Promise: a single good round does not make a winner."""
    assert decide(rounds((10, 30), (10, 9), (10, 9), (10, 9), (10, 9)), RULES).winner == 0
    assert decide(rounds((10, 30), (10, 30), (10, 30), (10, 9), (10, 9)), RULES).winner == 0  # 3 of 5 rounds


def test_a_small_gain_is_not_worth_a_change() -> None:
    """Promise: below the margin what is there stays."""
    assert decide(rounds(*[(10, 10.2)] * 5), RULES).winner == 0


def test_the_limit_binds() -> None:
    """Promise: a faster candidate beyond the limit loses; settings beyond it are replaced by ones within."""
    rules = Judge(rounds=5, p95_ms=100)
    assert decide(rounds(*[(10, 20)] * 5, p95=(50, 150)), rules).winner == 0
    assert decide(rounds(*[(10, 9)] * 5, p95=(150, 50)), rules).winner == 1
    beyond = decide(rounds(*[(10, 20)] * 5, p95=(150, 150)), rules)
    assert beyond.winner == 0
    assert "nobody is within 100 ms" in beyond.why


@given(st.lists(st.lists(st.floats(0.1, 100), min_size=3, max_size=3), min_size=1, max_size=8))
def test_the_same_settings_never_win(rates: list[list[float]]) -> None:
    """Promise: a candidate that measures exactly like what is there does not replace it."""
    assert decide([Round([r[0]] * 3, [1.0] * 3) for r in rates], RULES).winner == 0


def test_candidates_survive_the_state_file(tmp_path: Path) -> None:
    """Promise: an interrupted sweep goes on with the candidates it had; a changed sweep begins anew."""
    space = load(CONFIGS / "cpu" / f"{contract.OCR}.yaml")
    choice = next(iter(space.choices()))
    state = State(tmp_path / "s.json", {"file": "a"})
    state.document["candidates"] = [dump(choice)]
    state.keep()
    again = State(tmp_path / "s.json", {"file": "a"})
    assert parse(again.document["candidates"][0]) == choice
    assert State(tmp_path / "s.json", {"file": "b"}).document["candidates"] is None
    assert named(choice, space.axes).startswith("ocr-engine instances 2, text-detector instances 1, ")
    assert named({}, space.axes) == "as it is"


def test_every_combination_is_one_of_the_sweep() -> None:
    """Promise: the number that is announced is the number that there is."""
    space = load(CONFIGS / "cpu" / f"{contract.SAFETY}.yaml")
    assert len({str(dump(choice)) for choice in space.choices()}) == space.combinations() == 12


def test_model_analyzer_gets_the_sweep_and_this_runs_places(tmp_path: Path) -> None:
    """Promise: everything of the sweep but `judge`, with the addresses of the server that runs."""
    space: Space = load(CONFIGS / "cpu" / f"{contract.SAFETY}.yaml")
    found = search.complete(space, tmp_path, Ports(1, 2, 3), tmp_path / "in.json")
    assert "judge" not in found
    assert found["triton_launch_mode"] == "remote"
    assert found["triton_grpc_endpoint"] == "127.0.0.1:2"
    assert found["profile_models"][contract.SAFETY]["perf_analyzer_flags"]["input-data"] == str(tmp_path / "in.json")
    assert "input-data" not in space.analyzer["profile_models"][contract.SAFETY]["perf_analyzer_flags"]


def test_a_change_is_shown_as_a_diff(tmp_path: Path) -> None:
    """Promise: a person sees the line that changes before it does."""
    path = tmp_path / "cpu.pbtxt"
    path.write_text("# two\ninstance_group [ { count: 2, kind: KIND_CPU } ]\n")
    outcome = Outcome({}, {path: settings.edit(path.read_text(), COUNT, 3)})
    assert outcome.diff(tmp_path).splitlines()[-2:] == [
        "-instance_group [ { count: 2, kind: KIND_CPU } ]",
        "+instance_group [ { count: 3, kind: KIND_CPU } ]",
    ]
