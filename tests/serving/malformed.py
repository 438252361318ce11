"""Bodies of POST /infer that are no request, by what is wrong with them."""

from __future__ import annotations

from typing import Any

from serving.attack import PICTURE, ROW

NO_JSON = {
    "nothing": b"",
    "half an object": b"{",
    "a number": b"7",
    "null": b"null",
    "a list": b"[]",
    "a text": b'"x"',
    "no UTF-8": b"\xff\xfe",
    "NUL bytes": bytes(4096),
    "NaN": b'{"inputs": NaN}',
    "two documents": b'{"inputs": []}{"inputs": []}',
    "a number of 100000 digits": b'{"id": ' + b"9" * 100_000 + b"}",
    "the same key twice": b'{"inputs": [], "inputs": 7}',
    "lone surrogates": b'{"inputs": "\\ud800"}',
}
NO_REQUEST: dict[str, Any] = {
    "no inputs": {},
    "inputs are null": {"inputs": None},
    "inputs are a text": {"inputs": "IMAGE"},
    "empty inputs": {"inputs": []},
    "an empty input": {"inputs": [{}]},
    "a number as input": {"inputs": [7]},
    "unknown name": {"inputs": [{**ROW, "name": "OTHER"}]},
    "empty name": {"inputs": [{**ROW, "name": ""}]},
    "name is a number": {"inputs": [{**ROW, "name": 7}]},
    "other datatype": {"inputs": [{**ROW, "datatype": "FP32"}]},
    "long datatype": {"inputs": [{**ROW, "datatype": "BYTES " * 1000}]},
    "null datatype": {"inputs": [{**ROW, "datatype": None}]},
    "one dimension": {"inputs": [{**ROW, "shape": [1]}]},
    "no dimension": {"inputs": [{**ROW, "shape": []}]},
    "three dimensions": {"inputs": [{**ROW, "shape": [1, 1, 1]}]},
    "100000 dimensions": {"inputs": [{**ROW, "shape": [1] * 100_000}]},
    "negative": {"inputs": [{**ROW, "shape": [-1, 1]}]},
    "batch of none": {"inputs": [{**ROW, "shape": [0, 1], "data": []}]},
    "more than there is": {"inputs": [{**ROW, "shape": [2, 1]}]},
    "two values an item": {"inputs": [{**ROW, "shape": [1, 2], "data": [PICTURE] * 2}]},
    "product overflows": {"inputs": [{**ROW, "shape": [2**62, 2**62]}]},
    "beyond 64 bits": {"inputs": [{**ROW, "shape": [2**70, 1]}]},
    "shape of texts": {"inputs": [{**ROW, "shape": ["1", "1"]}]},
    "shape of fractions": {"inputs": [{**ROW, "shape": [1.5, 1]}]},
    "batch over the limit": {"inputs": [{**ROW, "shape": [33, 1], "data": [PICTURE] * 33}]},
    "no data": {"inputs": [{k: v for k, v in ROW.items() if k != "data"}]},
    "empty data": {"inputs": [{**ROW, "data": []}]},
    "numbers for BYTES": {"inputs": [{**ROW, "data": [7]}]},
    "an object for data": {"inputs": [{**ROW, "data": {}}]},
    "null as value": {"inputs": [{**ROW, "data": [None]}]},
    "NUL as picture": {"inputs": [{**ROW, "data": ["\u0000"]}]},
    "both forms of picture": {"inputs": [ROW, {**ROW, "name": "IMAGE"}]},
    "no picture": {"inputs": [{**ROW, "name": "TEXT"}]},
    "batches that differ": {"inputs": [ROW, {**ROW, "name": "TEXT", "shape": [2, 1], "data": ["a", "b"]}]},
    "the same input twice": {"inputs": [ROW, {**ROW, "data": ["x"]}]},
    "a path as profile": {"inputs": [ROW, {**ROW, "name": "POLICY", "data": ["../../etc/passwd"]}]},
    "a caption of 100000": {"inputs": [ROW, {**ROW, "name": "TEXT", "data": ["x" * 100_000]}]},
    "unknown output": {"inputs": [ROW], "outputs": [{"name": "NOTHING"}]},
    "output without name": {"inputs": [ROW], "outputs": [{}]},
    "negative deadline": {"inputs": [ROW], "parameters": {"deadline_ms": -1}},
    "a word as deadline": {"inputs": [ROW], "parameters": {"deadline_ms": "soon"}},
    "the same parameter in two cases": {"inputs": [ROW], "parameters": {"deadline_ms": 1, "DEADLINE_MS": 2}},
    "a list as parameter": {"inputs": [ROW], "parameters": {"deadline_ms": [1]}},
    "negative timeout": {"inputs": [ROW], "parameters": {"timeout": -1}},
    "binary data that is not there": {"inputs": [{**ROW, "parameters": {"binary_data_size": 2**40}}]},
    "negative binary data": {"inputs": [{**ROW, "parameters": {"binary_data_size": -1}}]},
    "shared memory of nobody": {
        "inputs": [{**ROW, "parameters": {"shared_memory_region": "x", "shared_memory_byte_size": 8}}]
    },
    "output to shared memory of nobody": {
        "inputs": [ROW],
        "outputs": [{"name": "RESULT", "parameters": {"shared_memory_region": "x", "shared_memory_byte_size": 2**40}}],
    },
    "a sequence that is none": {"inputs": [ROW], "parameters": {"sequence_start": "perhaps", "sequence_id": -1}},
}
