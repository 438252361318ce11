"""A policy folder (`policy.yaml` and `lists/*.txt`) to a `Policy`, or to all of its faults at once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from pydantic import ValidationError

from moderation import contract
from moderation.errors import PolicyError
from moderation.policy import schema
from moderation.policy.lists import Lists
from moderation.policy.rules import (
    DEFAULT_PROFILE,
    UNKNOWN_RULE,
    ContentTypeRule,
    HashRule,
    LabelRule,
    Limit,
    Policy,
    Profile,
    Rule,
    TextRule,
    Unknown,
)
from moderation.policy.source import Path_, Source, dotted, suggest
from moderation.policy.text import TermIndex

FILE = "policy.yaml"
UNKNOWN_ACTIONS = {contract.SAFETY: "review", contract.OCR: "review"}
"""Meaning of a missing signal where no profile says otherwise: what nobody looked at is not known to be harmless."""


class _Faults:
    """Faults of policy.yaml with their lines."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.found: list[tuple[int, str]] = list(source.faults)

    def add(self, path: Path_, text: str) -> None:
        self.found.append((self.source.line(path), f"{dotted(path)} {text}"))

    def lines(self) -> tuple[str, ...]:
        return tuple(f"{FILE}:{line}: {text}" for line, text in sorted(set(self.found)))


def load(folder: Path) -> Policy:
    """Read, check and prepare a policy.

    Args:
        folder: holds policy.yaml, and lists/*.txt when rules name lists; its name is the version unless the file
            has a `version`.

    Raises:
        PolicyError: `faults` has one line for each fault: file and line, path, value, what is allowed.
    """
    path = folder / FILE
    try:
        raw = path.read_bytes()
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        _refuse(folder, (f"{FILE}:1: byte {error.start} is not UTF-8; save the file as UTF-8",))
    except OSError as error:
        _refuse(folder, (f"{FILE}:1: cannot be read: {error.strerror}; a policy folder holds {FILE}",))
    source = Source(text)
    faults = _Faults(source)
    if source.faults:
        _refuse(folder, faults.lines())
    lists = Lists(folder / "lists")
    try:
        document = schema.PolicyFile.model_validate(source.data)
    except ValidationError as error:
        for item in error.errors(include_url=False):
            if item["loc"][-1:] == ("literal['never']",):
                continue  # the number beside it in the union has its own sentence
            faults.add(*_explain(item["loc"], item["type"], item.get("input"), item.get("ctx", {}), source))
        _refuse(folder, faults.lines())
    profiles = {
        name: profile
        for name in document.profiles
        if (profile := _profile(name, document.profiles, faults, lists)) is not None
    }
    if DEFAULT_PROFILE not in document.profiles:
        near = suggest(DEFAULT_PROFILE, document.profiles)
        faults.add(("profiles",), f"has no `{DEFAULT_PROFILE}`; requests that name no profile use it{near}")
    if faults.found or lists.faults:
        _refuse(folder, faults.lines() + tuple(sorted(set(lists.faults))))
    return Policy(document.version or folder.name, _digest(raw, lists.contents), profiles)


def _refuse(folder: Path, faults: tuple[str, ...]) -> NoReturn:
    noun = "fault" if len(faults) == 1 else "faults"
    listed = "".join(f"\n  {fault}" for fault in faults)
    raise PolicyError(f"policy {folder.name} has {len(faults)} {noun}:{listed}", faults) from None


def _digest(policy: bytes, lists: Mapping[str, bytes]) -> str:
    """SHA-256 of the policy file and the lists in use; lengths keep the parts apart."""
    total = hashlib.sha256()
    for name, content in [(FILE, policy), *sorted(lists.items())]:
        total.update(f"{name}\0{len(content)}\0".encode())
        total.update(content)
    return total.hexdigest()


# --- faults of the schema


def _fields(path: Path_, data: Any) -> set[str]:
    """Keys that are allowed in the mapping at a path."""
    model: type[schema.Strict] = schema.PolicyFile
    match path:
        case ("profiles", _):
            model = schema.ProfileSpec
        case ("profiles", _, "rules", _):
            model = schema.KINDS[data["kind"]]
        case (*_, "thresholds", _):
            model = schema.Threshold
        case (*_, "types", _):
            model = schema.Kind
        case (*_, "severity"):
            model = schema.Severity
    return set(model.model_fields)


def _at(data: Any, path: Path_) -> Any:
    for part in path:
        data = data[part]
    return data


def _explain(loc: Path_, kind: str, value: Any, ctx: Mapping[str, Any], source: Source) -> tuple[Path_, str]:
    """Path and sentence for one of pydantic's errors."""
    path: Path_ = ()
    for part in loc:  # pydantic puts names of union members between the keys
        if source.has((*path, part)) or (kind == "missing" and part == loc[-1]):
            path = (*path, part)
    shown = "empty" if value is None else repr(value) if isinstance(value, (str, int, float)) else type(value).__name__
    if kind == "missing":
        return path[:-1], f"lacks `{path[-1]}`"
    if kind == "extra_forbidden":
        allowed = _fields(path[:-1], _at(source.data, path[:-1]))
        return path, f"is not a known key; allowed: {', '.join(sorted(allowed))}{suggest(path[-1], allowed)}"
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        seen = value.get("kind") if isinstance(value, dict) else None
        say = f"has kind {seen!r}" if seen is not None else "lacks `kind`"
        return path, f"{say}; allowed: {', '.join(schema.KINDS)}{suggest(seen, schema.KINDS)}"
    if kind == "literal_error":
        allowed_text = str(ctx.get("expected", "")).replace("'", "")
        choices = allowed_text.replace(" or ", ", ").split(", ")
        return path, f"is {shown}; allowed: {allowed_text}{suggest(value, choices)}"
    return path, f"is {shown}; {_wanted(path, kind, ctx)}"


def _wanted(path: Path_, kind: str, ctx: Mapping[str, Any]) -> str:
    words = {
        "string_type": "text is expected; put it in quotes",
        "float_type": "a number is expected" + (" (or `never`)" if path[-1:] in (("review",), ("block",)) else ""),
        "finite_number": "a finite number is expected",
        "list_type": "a list is expected",
        "dict_type": "a mapping (`key: value`) is expected",
        "model_type": "a mapping (`key: value`) is expected",
        "model_attributes_type": "a mapping (`key: value`) is expected",
        "greater_than": f"it must be above {ctx.get('gt')}",
        "greater_than_equal": f"it must be {ctx.get('ge')} or more",
        "less_than_equal": f"it must be {ctx.get('le')} or less",
        "string_pattern_mismatch": f"allowed: {schema.PATTERNS.get(ctx.get('pattern', ''), ctx.get('pattern'))}",
        "too_short": f"it needs {ctx.get('min_length')} or more",
        "string_too_short": f"it needs {ctx.get('min_length')} or more characters",
        "string_too_long": f"it may have {ctx.get('max_length')} characters",
    }
    return words.get(kind, f"it is refused ({kind})")


# --- profiles


def _chain(name: str, specs: Mapping[str, schema.ProfileSpec], faults: _Faults) -> list[str] | None:
    """A profile and its ancestors, oldest first."""
    chain = [name]
    while (parent := specs[chain[-1]].extends) is not None:
        path = ("profiles", chain[-1], "extends")
        if parent not in specs:
            known = sorted(set(specs) - {chain[-1]})
            faults.add(path, f"is `{parent}`; allowed: {', '.join(known) or 'nothing else'}{suggest(parent, known)}")
            return None
        if parent in chain:
            faults.add(path, f"is `{parent}`, which extends itself: {' > '.join([*chain, parent])}")
            return None
        chain.append(parent)
    return chain[::-1]


def _profile(name: str, specs: Mapping[str, schema.ProfileSpec], faults: _Faults, lists: Lists) -> Profile | None:
    chain = _chain(name, specs, faults)
    if chain is None:
        return None
    rules: dict[str, Rule] = {}
    unknown: dict[str, str] = dict(UNKNOWN_ACTIONS)
    for ancestor in chain:
        spec = specs[ancestor]
        path: Path_ = ("profiles", ancestor)
        for i, dropped in enumerate(spec.remove):
            if rules.pop(dropped, None) is None:
                known = sorted(rules)
                text = f"is `{dropped}`; inherited rules: {', '.join(known) or 'none'}{suggest(dropped, known)}"
                faults.add((*path, "remove", i), text)
        own: set[str] = set()
        for i, rule in enumerate(spec.rules):
            here = (*path, "rules", i)
            if rule.id in own or rule.id == UNKNOWN_RULE:
                taken = "is taken by another rule of this profile" if rule.id in own else "is reserved"
                faults.add((*here, "id"), f"`{rule.id}` {taken}; choose another id")
            own.add(rule.id)
            rules[rule.id] = _rule(rule, here, faults, lists)
        for i, stage in enumerate(spec.optional_stages):
            if stage in spec.on_unknown:
                faults.add((*path, "optional_stages", i), f"`{stage}` is in on_unknown too; keep one of them")
            unknown[stage] = "allow"
        for stage, action in spec.on_unknown.items():
            unknown[stage] = action
    meanings = {stage: Unknown(action, schema.DEFAULT_SEVERITY[action]) for stage, action in unknown.items()}
    return Profile(name, tuple(rules[key] for key in sorted(rules)), meanings)


# --- rules


def _rule(rule: schema.AnyRule, path: Path_, faults: _Faults, lists: Lists) -> Rule:
    if isinstance(rule, schema.Labels):
        limits = {
            label: _limits(threshold, rule.severity, (*path, "thresholds", label), faults)
            for label, threshold in rule.thresholds.items()
        }
        return LabelRule(rule.id, rule.message, limits)
    if isinstance(rule, schema.ContentType):
        kinds = {
            name: Limit(kind.action, kind.min_score, kind.severity or schema.DEFAULT_SEVERITY[kind.action])
            for name, kind in rule.types.items()
        }
        return ContentTypeRule(rule.id, rule.message, kinds)
    if isinstance(rule, schema.Text):
        return _text_rule(rule, path, faults, lists)
    _demand_content(rule.digests, rule.lists, "digests", path, faults)
    severity = rule.severity or schema.DEFAULT_SEVERITY[rule.action]
    digests = {digest.lower(): rule.id for digest in rule.digests}
    for i, name in enumerate(rule.lists):
        for digest in lists.digests(name, partial(faults.add, (*path, "lists", i))):
            digests.setdefault(digest, name)
    return HashRule(rule.id, rule.message, rule.action, severity, digests)


def _limits(threshold: schema.Threshold, severity: schema.Severity, path: Path_, faults: _Faults) -> tuple[Limit, ...]:
    levels = threshold.severity or severity
    review, block = threshold.review, threshold.block
    if review != "never" and block != "never" and review > block:
        faults.add(path, f"has review {review} above block {block}; review must not be higher")
    if levels.review > levels.block:
        faults.add(
            path, f"has severity {levels.review} for review and {levels.block} for block; block must not be lower"
        )
    if not threshold.model_fields_set & {"review", "block"}:
        faults.add(path, "has neither `review` nor `block`; give a score, or `review: never` to exempt the label")
    limits: list[Limit] = []
    if block != "never":
        limits.append(Limit("block", block, levels.block))
    if review != "never":
        limits.append(Limit("review", review, levels.review))
    return tuple(limits)


def _text_rule(rule: schema.Text, path: Path_, faults: _Faults, lists: Lists) -> TextRule:
    _demand_content(rule.terms, rule.lists, "terms", path, faults)
    index = TermIndex()
    for i, term in enumerate(rule.terms):
        if not index.add(rule.id, term):
            faults.add((*path, "terms", i), f"is {term!r}; a term needs a letter or a digit")
    for i, name in enumerate(rule.lists):
        for line, term in lists.terms(name, partial(faults.add, (*path, "lists", i))):
            if not index.add(name, term):
                lists.fault(name, line, f"{term!r} has no letter and no digit; remove it")
    severity = rule.severity or schema.DEFAULT_SEVERITY[rule.action]
    fields = tuple(dict.fromkeys(rule.fields))
    return TextRule(rule.id, rule.message, rule.action, severity, fields, rule.min_ocr_score, index)


def _demand_content(inline: list[str], lists: list[str], what: str, path: Path_, faults: _Faults) -> None:
    if not inline and not lists:
        faults.add(path, f"looks for nothing; give `{what}` or `lists`")
