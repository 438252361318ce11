"""routes.yaml: what it says, what is refused, and that a change is taken while in force."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from moderation import contract, schemas
from moderation.errors import InputError, RoutesError
from moderation.launcher.run import REPOSITORY
from moderation.pipeline.release import MODELS, Release
from moderation.rollout import plan, routes
from moderation.rollout.routes import Routes
from moderation.rollout.watch import WatchedRoutes

POLICY = contract.DECISION_LOGIC
RELEASE = Release.load(REPOSITORY / contract.ENTRY / "1").versions
TWO = {"arms": [{"version": 1, "weight": 95}, {"version": 2, "weight": 5}]}


def document(*entries: dict[str, Any], **top: Any) -> str:
    return yaml.safe_dump({**top, "routes": [{"model": POLICY, **entry} for entry in entries]})


def parsed(text: str) -> Routes:
    return routes.parse(text, Path("routes.yaml"))


def made(found: Routes, subject: str | None = "ann", profile: str | None = None, **more: Any) -> plan.Plan:
    settings: dict[str, Any] = {"wanted": {}, "draw": lambda: 0.5, **more}
    return plan.make(RELEASE, found, profile, subject, lambda: "digest", **settings)


def test_the_shipped_file_shares_nothing() -> None:
    """Promise: out of the box every stage is answered by the version that the release names."""
    found = made(routes.load(REPOSITORY / contract.ENTRY / "1" / routes.FILE))
    assert (found.versions, found.by, found.shadows) == (RELEASE, {}, ())


def test_every_model_can_have_a_route() -> None:
    """Promise: the routes know the models of the pipeline, and the published schema is the one in force."""
    schema = schemas.routes()
    assert schema["$defs"]["Route"]["properties"]["model"]["enum"] == list(MODELS)
    jsonschema.validate(yaml.safe_load(document(TWO)), schema)


def test_all_faults_are_shown_at_once_with_their_lines() -> None:
    """Promise: every fault has its line, its path, the value, and what is allowed."""
    text = """\
salt: 5
routes:
  - model: moderation-decision-logik
    arms: [{version: 0, weight: 100}]
  - model: moderation-decision-logic
    arms: [{version: 1, wait: 100}]
"""
    with pytest.raises(RoutesError) as refused:
        parsed(text)
    assert refused.value.faults == (
        "routes.yaml:1: salt is 5; text is expected; put it in quotes",
        "routes.yaml:3: routes[0].model is 'moderation-decision-logik'; allowed: image-preprocessor, "
        "content-classifier, safety-detector, safety-classifier, ocr-engine, moderation-decision-logic, "
        "text-detector or text-recognizer; did you mean `moderation-decision-logic`?",
        "routes.yaml:4: routes[0].arms[0].version is 0; it must be 1 or more",
        "routes.yaml:6: routes[1].arms[0] lacks `weight`",
        "routes.yaml:6: routes[1].arms[0].wait is not a known key; allowed: version, weight; did you mean `weight`?",
    )


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([{"arms": [{"version": 1, "weight": 95}]}], "add up to 95; 100 is expected"),
        ([{"arms": [{"version": 1, "weight": 50}, {"version": 1, "weight": 50}]}], "has an arm already"),
        ([TWO | {"shadow": [{"version": 2, "sample": 5}]}], "answers callers; a shadow has no share"),
        ([TWO | {"shadow": [{"version": 3, "sample": 5}, {"version": 3, "sample": 6}]}], "in the shadow already"),
        ([TWO, TWO | {"profile": "strict"}], "routes[0] comes first"),
        ([TWO | {"model": contract.PREPROCESSOR, "shadow": [{"version": 3, "sample": 5}]}], "would have to run twice"),
    ],
)
def test_what_makes_no_sense_is_refused(entries: list[dict[str, Any]], words: str) -> None:
    """Promise: a file that cannot mean what it says is refused in words."""
    with pytest.raises(RoutesError) as refused:
        parsed(document(*entries))
    assert words in refused.value.message


def test_a_profile_can_have_shares_of_its_own() -> None:
    """Promise: the first entry that fits a request's profile decides; requests that name none are `default`."""
    found = parsed(
        document(
            {"profile": "strict", "arms": [{"version": 2, "weight": 100}]},
            {"profile": "default", "arms": [{"version": 3, "weight": 100}]},
        )
    )
    assert made(found, profile="strict").versions[POLICY] == 2
    assert made(found, profile=None).versions[POLICY] == 3
    assert made(found, profile="lenient").versions == RELEASE


def test_a_tester_may_choose_among_listed_versions() -> None:
    """Promise: `versions=model:version` reaches a version without a share, but none that no route lists."""
    found = parsed(document({"arms": [{"version": 1, "weight": 100}, {"version": 2, "weight": 0}]}))
    chosen = made(found, wanted=plan.overrides(f"{POLICY}:2", found))
    assert (chosen.versions[POLICY], chosen.by[POLICY], chosen.trials) == (2, "override", {})
    for text in (f"{POLICY}:3", POLICY, "safety-detector:1", f"{POLICY}:2,", f"{POLICY}:²"):
        with pytest.raises(InputError) as refused:
            plan.overrides(text, found)
        assert f"allowed: {POLICY}:1, {POLICY}:2" in refused.value.message
    with pytest.raises(InputError, match="no overrides"):
        plan.overrides(f"{POLICY}:2", parsed(document(TWO, overrides="refused")))


def test_shadows_are_drawn_by_request() -> None:
    """Promise: a shadow sees its sample of the requests, whoever sends them."""
    found = parsed(document(TWO | {"shadow": [{"version": 3, "sample": 20}]}))
    assert made(found, draw=lambda: 0.199).shadows == ((POLICY, 3),)
    assert made(found, draw=lambda: 0.2).shadows == ()


def test_a_changed_file_is_taken_and_a_broken_one_is_not(tmp_path: Path) -> None:
    """Promise: routes change without a restart; with faults, or while half written, the old ones stay in force."""
    path, told = tmp_path / routes.FILE, list[str | None]()
    watched = WatchedRoutes(path, told.append)
    assert watched.current() == Routes()
    (tmp_path / "next").write_text(document(TWO))
    (tmp_path / "next").replace(path)
    good = watched.current()
    assert good.routes[0].weights == {1: 95, 2: 5}
    path.write_text("routes: [")
    assert watched.current() is good
    path.write_text(document(TWO, salt="new"))
    assert watched.current().salt == "new"
    path.unlink()
    assert watched.current() == Routes()
    assert [text is None for text in told] == [True, False, True, True]
    assert "not valid YAML" in str(told[1])
