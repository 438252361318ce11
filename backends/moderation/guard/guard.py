"""The two calls that the entry model makes: `admit` before the pipeline and `record` after it."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from moderation.access.principal import NOBODY, Principal
from moderation.access.tokens import Verifier
from moderation.audit.decision import decision
from moderation.audit.log import Log
from moderation.audit.writer import Writer
from moderation.errors import AccessError, AuditError, InputError, OverloadError
from moderation.guard import settings as security
from moderation.limits.admission import Admission
from moderation.limits.settings import Tenant, tenant_of
from moderation.pipeline.items import Inputs, Item
from moderation.rollout.plan import PARAMETER as VERSIONS
from moderation.rollout.router import SUBJECT
from moderation.telemetry.record import of_audit, of_refusal

TENANT: Final = "x-tenant"
"""Parameter or forwarded header: the tenant, where no token says it."""


@dataclass(frozen=True)
class Ticket:
    """One admitted request; leaving its block gives its places back.

    Attributes:
        principal: who asks.
        tenant: what they get.
        subject: attributes of the caller, for the policy.
    """

    principal: Principal
    tenant: Tenant
    subject: Mapping[str, str]
    started: float = field(default_factory=time.perf_counter)
    leave: Callable[[], None] = lambda: None

    def item(self, item: Item | InputError) -> Item | InputError:
        """The item under the profile that the tenant gets, or why it may not have the one it asks for."""
        if isinstance(item, InputError):
            return item
        own = self.tenant
        if item.profile is None:
            return replace(item, profile=own.profile)
        allowed = {own.profile, *own.profiles} - {None}
        if allowed and item.profile not in allowed and "admin" not in self.principal.scopes:
            return InputError(
                f"permission denied: POLICY `{item.profile}` is not a profile of this tenant", reason="profile_denied"
            )
        return item

    def deadline_ms(self, wanted: float) -> float:
        """The time that a request gets of the one it wants."""
        return min(wanted, self.tenant.deadline_ms or wanted)

    def __enter__(self) -> Ticket:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the places back."""
        self.leave()


class Guard:
    """Access, limits and audit of one process of the entry model.

    Args:
        settings: of the deployment.
        state: folder that all processes of the server share.
        add: takes samples of metrics.

    Raises:
        ConfigError: a key, the table or the log cannot be used.
    """

    def __init__(self, settings: security.Security, state: Path, add: Callable[..., None]) -> None:
        self._settings = settings
        self._add = add
        self._verifier = Verifier(settings.access)
        self._admission = Admission(settings.tenants, settings.limits, state)
        durable = settings.audit.mode == "required"
        self._writer = Writer(Log(settings.audit), durable=durable) if settings.audit.mode != "none" else None
        self._durable = durable

    @classmethod
    def from_environment(cls, add: Callable[..., None]) -> Guard:
        """The guard that the launcher's environment asks for; without one, everybody may ask and nothing is kept."""
        shared = os.environ.get(security.STATE) or str(Path(tempfile.gettempdir()) / f"moderation-state-{os.getppid()}")
        return cls(security.from_environment(), Path(shared), add)

    def admit(self, settings: Mapping[str, Any], inputs: Inputs) -> Ticket:
        """Who is it, may they, is it within quota.

        Args:
            settings: parameters and forwarded headers of the request, names in small letters.
            inputs: the entry model's tensors.

        Raises:
            AccessError: not known, or not allowed.
            InputError: more images than the tenant may send at once.
            OverloadError: no quota or no room.
        """
        try:
            principal = self._verifier.identify(settings)
            name = tenant_of(self._settings.tenants, principal.tenant)
            if name is None:
                raise AccessError("permission denied: the token's tenant is not known here", reason="tenant")
            tenant = self._settings.tenants[name]
            if VERSIONS in settings and principal is not NOBODY and "admin" not in principal.scopes:
                raise AccessError(f"permission denied: parameter {VERSIONS} needs the scope `admin`", reason="scope")
            images = max((len(array) for array in inputs.values() if array is not None), default=1)
            _images(tenant, images)
            return Ticket(
                principal, tenant, self._subject(settings, principal), leave=self._admission.enter(name, images)
            )
        except (AccessError, OverloadError) as error:
            self._add(of_refusal(error))
            raise

    def _subject(self, settings: Mapping[str, Any], principal: Principal) -> dict[str, str]:
        """Attributes for the policy. With a token its tenant counts, whatever a header says."""
        found = {name: str(settings[name]) for name in (SUBJECT, TENANT) if name in settings}
        if self._settings.access.mode != "none":
            found |= {TENANT: principal.tenant, "client": principal.client}
        return found

    async def record(
        self, ticket: Ticket, request_id: str, results: Sequence[dict[str, Any]], patience_s: float
    ) -> list[dict[str, Any]]:
        """Put the outcomes of a request on record.

        Args:
            ticket: of the request.
            request_id: of the reply.
            results: RESULT of each item.
            patience_s: how long to wait for the disk.

        Returns:
            The results; with the receipts of their records for callers with the scope `audit`.

        Raises:
            AuditError: `required` and not on disk.
        """
        decided = [number for number, result in enumerate(results) if "error" not in result]
        if self._writer is None or not decided:
            return list(results)
        latency = (time.perf_counter() - ticket.started) * 1e3
        subject = ticket.subject.get(SUBJECT, "")
        waits = [
            self._writer.put(decision(ticket.principal, subject, request_id, results[number], latency))
            for number in decided
        ]
        try:
            if not self._durable:
                return list(results)
            written = asyncio.gather(*(asyncio.wrap_future(wait) for wait in waits))
            records = await asyncio.wait_for(written, max(0.001, patience_s))
        except (asyncio.TimeoutError, TimeoutError):
            raise AuditError("the audit log did not reach the disk in time") from None
        finally:
            self._add(*of_audit(len(waits), self._writer.take_lost()))
        if "audit" not in ticket.principal.scopes:
            return list(results)
        receipts = {number: {"seq": r.seq, "hash": r.hash} for number, r in zip(decided, records, strict=True)}
        return [
            {**result, "audit": receipts[number]} if number in receipts else result
            for number, result in enumerate(results)
        ]

    def close(self) -> None:
        """Write and sign what is left."""
        if self._writer is not None:
            self._writer.close()


def _images(tenant: Tenant, images: int) -> None:
    if tenant.max_images is not None and images > tenant.max_images:
        raise InputError(
            f"the request has {images} images; at most {tenant.max_images} are accepted from this tenant",
            reason="too_many_images",
            limit=tenant.max_images,
            value=images,
        )
