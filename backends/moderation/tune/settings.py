"""Settings of a model, read from and written into Triton's configuration: the JSON of a running server, or a file."""

from __future__ import annotations

import copy
import re
from typing import Any, Final

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from moderation.errors import ConfigError
from moderation.tune.space import Value

Path = tuple[str, ...]
_BATCH: Final = re.compile(r"^(max_batch_size:\s*)\d+", re.M)
_COUNT: Final = re.compile(r"(instance_group\s*:?\s*\[?\s*\{[^}]*?\bcount:\s*)\d+")
_DELAY: Final = re.compile(r"(dynamic_batching\s*:?\s*\{[^}]*?\bmax_queue_delay_microseconds:\s*)\d+")


def get(config: dict[str, Any], path: Path) -> Value | None:
    """A setting of a configuration as Triton's JSON has it; the first of repeated fields.

    A number that is not there is 0, as protobuf leaves out zeros; a parameter that is not there is None.
    """
    node: Any = config
    for part in path:
        if isinstance(node, list):
            node = node[0] if node else {}
        if not isinstance(node, dict) or part not in node:
            return None if path[0] == "parameters" else 0
        node = node[part]
    # protobuf writes 64-bit numbers as text
    return int(node) if path[0] != "parameters" else str(node)


def put(config: dict[str, Any], path: Path, value: Value) -> dict[str, Any]:
    """A copy of a configuration with a setting changed."""
    changed = copy.deepcopy(config)
    node: Any = changed
    for part in path[:-1]:
        if isinstance(node, list):
            node = node[0]
        node = node.setdefault(part, {})
    if isinstance(node, list):
        node = node[0]
    node[path[-1]] = str(value) if path[0] == "parameters" else int(value)
    return changed


def edit(text: str, path: Path, value: Value) -> str:
    """The text of a configuration file with a setting changed; everything else, comments too, stays as it is.

    Raises:
        ConfigError: the file does not have the setting in a form that can be changed.
    """
    if path[0] == "parameters":
        name = re.escape(path[1])
        pattern = re.compile(rf'(parameters\s*\{{\s*key:\s*"{name}"\s*value\s*\{{\s*string_value:\s*")[^"]*')
        if not pattern.search(text):
            line = f'parameters {{ key: "{path[1]}" value {{ string_value: "{value}" }} }}\n'
            return _checked(text if text.endswith("\n") else text + "\n", line, path, value)
        return _checked(pattern.sub(rf"\g<1>{value}", text, count=1), "", path, value)
    pattern = {"max_batch_size": _BATCH, "instance_group": _COUNT, "dynamic_batching": _DELAY}[path[0]]
    if not pattern.search(text):
        raise ConfigError(f"{'/'.join(path)} is not in the file; write it there once by hand, then tune again")
    return _checked(pattern.sub(rf"\g<1>{value}", text, count=1), "", path, value)


def _checked(text: str, added: str, path: Path, value: Value) -> str:
    """The new text, once Triton's own parser has found the value where it belongs."""
    found = read(text + added, path)
    if str(found) != str(value):
        raise ConfigError(f"{'/'.join(path)} would be {found} instead of {value}; change the file by hand")
    return text + added


def read(text: str, path: Path) -> Value | None:
    """A setting of a configuration file."""
    config = text_format.Parse(text, model_config_pb2.ModelConfig())
    if path == ("max_batch_size",):
        return int(config.max_batch_size)
    if path == ("instance_group", "count"):
        return int(config.instance_group[0].count) if config.instance_group else None
    if path == ("dynamic_batching", "max_queue_delay_microseconds"):
        return int(config.dynamic_batching.max_queue_delay_microseconds)
    return str(config.parameters[path[1]].string_value) if path[1] in config.parameters else None
