"""A policy folder (policy.yaml, lists/, tests.yaml) to a `Policy`, or to all of its faults at once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NoReturn

from pydantic import BaseModel, ValidationError

from moderation.errors import PolicyError
from moderation.policy import cases, schema
from moderation.policy.build import Builder
from moderation.policy.faults import Faults
from moderation.policy.lists import Lists
from moderation.policy.profiles import Profiles
from moderation.policy.rules import DEFAULT_PROFILE, Choice, Policy
from moderation.policy.source import Source, suggest

FILE = "policy.yaml"
MAX_BYTES = 1 << 20
"""More than 6,000 rules; so much YAML takes a second to read, and four times as much five (measured)."""


def load(folder: Path, *, tests: bool = True) -> Policy:
    """Read, check, prepare and test a policy.

    Args:
        folder: holds policy.yaml, lists/ when rules name lists, and tests.yaml when the policy ships its own tests; its
            name is the version unless the file has a `version`.
        tests: whether a policy that fails its own tests is refused.

    Raises:
        PolicyError: `faults` has one line for each fault: file and line, path, value, what is allowed; or the test that
            fails, what it expects and what came out.
    """
    raw, source = _read(folder)
    faults = Faults(FILE, source)
    try:
        document = schema.PolicyFile.model_validate(source.data)
    except ValidationError as error:
        faults.add_all(error, schema.PolicyFile)
        refuse(folder, faults.lines())
    lists = Lists(folder / "lists")
    builder = Builder(faults, lists)
    profiles = Profiles(document.profiles, builder)
    built = {name: profile for name in document.profiles if (profile := profiles.build(name)) is not None}
    if DEFAULT_PROFILE not in document.profiles:
        near = suggest(DEFAULT_PROFILE, document.profiles)
        faults.add(("profiles",), f"has no `{DEFAULT_PROFILE}`; requests that name no profile use it{near}")
    select = _select(document, faults)
    if faults.any() or lists.faults:
        refuse(folder, faults.lines() + tuple(sorted(set(lists.faults))))
    policy = Policy(document.version or folder.name, _digest(raw, lists.versions), built, select)
    if tests and (failed := cases.failures(policy, cases.read(folder))):
        refuse(folder, failed)
    return policy


def refuse(folder: Path, faults: Iterable[str]) -> NoReturn:
    """Raise all faults as one error."""
    lines = tuple(faults)
    count = "1 fault" if len(lines) == 1 else f"{len(lines)} faults"
    raise PolicyError("\n  ".join((f"{folder}: {count} in the policy:", *lines)), lines)


def _read(folder: Path) -> tuple[bytes, Source]:
    try:
        raw = (folder / FILE).read_bytes()
        if len(raw) > MAX_BYTES:
            size = f"{len(raw)} bytes; at most {MAX_BYTES} are read"
            refuse(folder, (f"{FILE}:1: has {size}; move phrases and hashes to files in lists/",))
        source = Source(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        refuse(folder, (f"{FILE}:1: byte {error.start} is not UTF-8; save the file as UTF-8",))
    except OSError as error:
        refuse(folder, (f"{FILE}:1: cannot be read: {error.strerror}; a policy folder holds {FILE}",))
    if source.faults:
        refuse(folder, Faults(FILE, source).lines())
    return raw, source


def _select(document: schema.PolicyFile, faults: Faults) -> tuple[Choice, ...]:
    choices: list[Choice] = []
    for i, entry in enumerate(document.select):
        if entry.profile not in document.profiles:
            known = sorted(document.profiles)
            text = f"is `{entry.profile}`; allowed: {', '.join(known)}{suggest(entry.profile, known)}"
            faults.add(("select", i, "profile"), text)
        conditions = []
        for name, condition in entry.when.items():
            path = ("select", i, "when", name)
            if len(condition.model_fields_set) != 1:
                faults.add(path, "needs exactly one of `equals`, `prefix` and `one_of`")
            values = [condition.equals] if condition.equals is not None else condition.one_of
            exact = None if values is None else frozenset(values)
            conditions.append((name, exact, condition.prefix or ""))
        choice = Choice(tuple(sorted(conditions, key=lambda c: c[0])), entry.profile)
        earlier = next((n for n, c in enumerate(choices) if c.conditions == choice.conditions), None)
        if earlier is not None:
            faults.add(("select", i), f"can never be chosen: select[{earlier}] asks for the same")
        choices.append(choice)
    return tuple(choices)


def _digest(policy: bytes, lists: Mapping[str, str]) -> str:
    parts = {FILE: hashlib.sha256(policy).hexdigest(), **lists}
    return hashlib.sha256("".join(f"{name}\0{digest}\0" for name, digest in sorted(parts.items())).encode()).hexdigest()


def json_schema(model: type[BaseModel], title: str) -> dict[str, object]:
    """The published JSON Schema of a file."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **model.model_json_schema(), "title": title}
