"""What of a decision goes on record: who, which picture by its digests, what came out and why. Never the picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from moderation.access.principal import Principal

MAX_TEXT: Final = 256
"""Characters of a value that a caller chose; the rest is cut."""


def decision(
    principal: Principal, subject: str, request_id: str, result: Mapping[str, Any], latency_ms: float
) -> dict[str, Any]:
    """Body of a record.

    Args:
        principal: who asked.
        subject: person whom the picture is of or from, as the caller says (`x-subject`); erasure requests name it.
        request_id: of the reply.
        result: RESULT of one item.
        latency_ms: of the whole request until now.
    """
    image = result.get("image", {})
    return {
        "tenant": _text(principal.tenant),
        "client": _text(principal.client),
        "issuer": _text(principal.issuer),
        "subject": _text(subject),
        "request_id": _text(request_id),
        "decision": result["decision"],
        "severity": result["severity"],
        "reasons": [
            {key: reason[key] for key in ("rule", "action", "severity", "triggered_by")}
            for reason in result.get("reasons", ())
        ],
        "image": {key: image[key] for key in ("sha256", "pdq", "format", "width", "height") if key in image},
        "versions": result.get("versions", {}),
        "unknown": result.get("unknown", []),
        "latency_ms": round(latency_ms, 1),
    }


def _text(value: str) -> str:
    return value[:MAX_TEXT]
