"""Every metric of this product, declared once. Labels come from small sets, so the number of series stays bounded.

Triton has its own beside them (`nv_*`); README.md in this folder lists both. Rules and dashboards of the chart use
these names, and a contract test ties them to this file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Buckets around the goal, p95 < 0.15 s."""
BYTES: Final = (4096.0, 16384.0, 65536.0, 262144.0, 1048576.0, 4194304.0, 16777216.0)
PIXELS: Final = (1e4, 1e5, 3e5, 1e6, 3e6, 1e7, 3e7)


@dataclass(frozen=True)
class Kind:
    """One metric.

    Attributes:
        kind: as Prometheus calls it.
        text: its help text.
        labels: names of its labels.
        buckets: upper bounds of a histogram's buckets.
    """

    kind: Literal["counter", "gauge", "histogram"]
    text: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


CATALOGUE: Final[Mapping[str, Kind]] = {
    "moderation_request_seconds": Kind(
        "histogram",
        "Time of a request in the entry model, after Triton's queue; refused: the caller's fault, failed: ours.",
        ("outcome",),
        SECONDS,
    ),
    "moderation_decisions_total": Kind(
        "counter", "Decisions, by what triggered the strongest reason.", ("decision", "policy", "triggered_by")
    ),
    "moderation_rules_total": Kind("counter", "Rules that matched, by id.", ("rule", "action")),
    "moderation_stage_seconds": Kind("histogram", "Time of one stage for one item.", ("stage",), SECONDS),
    "moderation_stage_failures_total": Kind("counter", "Stages without a signal, by model.", ("model",)),
    "moderation_stage_skipped_total": Kind("counter", "Stages that the kind of picture was spared.", ("model",)),
    "moderation_image_bytes": Kind("histogram", "Size of the encoded image.", ("format",), BYTES),
    "moderation_image_pixels": Kind("histogram", "Pixels of the full image.", ("format",), PIXELS),
    "moderation_bad_input_total": Kind("counter", "Refused items, by reason.", ("reason",)),
    "moderation_errors_total": Kind("counter", "Items without a decision, by status code.", ("code",)),
    "moderation_denied_total": Kind("counter", "Requests refused by authentication, by reason.", ("reason",)),
    "moderation_limited_total": Kind("counter", "Requests refused by quotas or for want of room.", ("reason",)),
    "moderation_audit_records_total": Kind("counter", "Decisions handed to the audit log."),
    "moderation_audit_lost_total": Kind("counter", "Decisions that are missing in the audit log."),
    "moderation_arm_decisions_total": Kind(
        "counter", "Decisions by the version of a stage that has a route.", ("model", "version", "decision")
    ),
    "moderation_arm_errors_total": Kind(
        "counter", "Items that a version of a stage could not answer; another may have.", ("model", "version")
    ),
    "moderation_arm_seconds": Kind(
        "histogram",
        "Time of a stage with a route (of=stage) and of the items that it saw (of=total), by its version.",
        ("model", "version", "of"),
        SECONDS,
    ),
    "moderation_shadow_decisions_total": Kind(
        "counter",
        "What callers were told, and what a version in the shadow would have told them.",
        ("model", "version", "live", "shadow"),
    ),
    "moderation_shadow_dropped_total": Kind(
        "counter", "Items that a shadow did not see for lack of time.", ("model", "version", "why")
    ),
    "moderation_routes_reads_total": Kind(
        "counter", "Changes of the routes that were taken or refused, counted by each instance.", ("outcome",)
    ),
    "moderation_distribution_total": Kind(
        "counter",
        "Decisions, content types and greatest scores by bin, to compare with the reference.",
        ("signal", "bin"),
    ),
    "moderation_reference_ratio": Kind(
        "gauge", "Share of each bin in the stored reference that drift is measured against.", ("signal", "bin")
    ),
    "moderation_cpu_cores_used": Kind("gauge", "CPU seconds per second of the server and its Python processes."),
    "moderation_cpu_cores_available": Kind("gauge", "Cores that this server may use: affinity and cgroup limit."),
    "moderation_shared_memory_used_bytes": Kind("gauge", "Used part of /dev/shm."),
    "moderation_shared_memory_total_bytes": Kind("gauge", "Size of /dev/shm."),
}
