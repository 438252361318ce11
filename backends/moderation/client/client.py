"""One interface over tritonclient's HTTP and gRPC clients."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from moderation import contract
from moderation.client.address import Address
from moderation.client.certificates import Certificates
from moderation.errors import InputError, ServerError

TOKEN: Final = "MODERATION_TOKEN"  # noqa: S105 - the name of a variable
_REFUSED: Final = ("400", "INVALID_ARGUMENT")


class Client:
    """A connection to a moderation server. Use one in each thread.

    Args:
        url: `http://host:8000` or `grpc://host:8001`; with TLS `https://`, `grpcs://`.
        timeout_s: longest wait for an answer.
        headers: sent with each request, for example `{"authorization": "Bearer …"}`; without that one, the token in
            the environment variable MODERATION_TOKEN is sent, where there is one.
        certificates: for TLS; by default those that the environment names.

    Raises:
        ConfigError: the address is none, or a certificate is missing.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float = 30.0,
        headers: dict[str, str] | None = None,
        certificates: Certificates | None = None,
    ) -> None:
        address = Address.parse(url)
        shown = (certificates or Certificates.from_environment()) if address.secure else None
        self.url = url
        self._timeout_s = timeout_s
        token = os.environ.get(TOKEN)
        self._headers = {**({"authorization": f"Bearer {token}"} if token else {}), **(headers or {})}
        target = f"{address.host}:{address.port}"
        self._grpc = address.grpc
        # each protocol's library takes a while to import: only the one in use
        if self._grpc:
            from tritonclient import grpc as protocol

            self._client: Any = protocol.InferenceServerClient(target, **(shown.for_grpc() if shown else {}))
        else:
            from tritonclient import http as protocol

            self._client = protocol.InferenceServerClient(
                target + address.path,
                network_timeout=timeout_s,
                connection_timeout=timeout_s,
                **(shown.for_http(address.host) if shown else {}),
            )
        self._protocol: Any = protocol

    def moderate(
        self,
        images: Sequence[bytes],
        captions: Sequence[str] | None = None,
        *,
        policy: str | None = None,
        request_id: str = "",
        versions: str = "",
        deadline_ms: int | None = None,
    ) -> list[dict[str, Any]]:
        """RESULT of each image, in order (schemas/result.schema.json).

        Args:
            images: encoded files, sent as one request; the server's `max_batch_size` bounds how many.
            captions: text beside each image.
            policy: profile of the policy, for all.
            request_id: comes back in RESULT.
            versions: `model:version` with commas, for testers of versions that the routes list.
            deadline_ms: longest time that the server may take; it has a limit of its own.

        Raises:
            InputError: the server refused the request, or its only image. In a request of several images a bad one is
                a RESULT with the decision `error`.
            ServerError: no answer, overload, or a fault in the server.
        """
        if not images:
            raise InputError("no image given; send at least one", reason="missing_input")
        if captions is not None and len(captions) != len(images):
            raise InputError(f"{len(captions)} captions for {len(images)} images; give one each", reason="bad_text")
        inputs = [self._tensor("IMAGE", images)]
        if captions is not None:
            inputs.append(self._tensor("TEXT", [c.encode() for c in captions]))
        if policy is not None:
            inputs.append(self._tensor("POLICY", [policy.encode()] * len(images)))
        extra: dict[str, Any] = {"client_timeout": self._timeout_s} if self._grpc else {}
        parameters: dict[str, str | int] = {"versions": versions} if versions else {}
        if deadline_ms is not None:
            parameters["deadline_ms"] = deadline_ms
        if parameters:
            extra["parameters"] = parameters
        try:
            answer = self._client.infer(
                contract.ENTRY,
                inputs,
                outputs=[self._protocol.InferRequestedOutput("RESULT")],
                request_id=request_id,
                headers=self._headers,
                **extra,
            )
        except Exception as error:  # each protocol and its transport raise their own kinds
            raise self._translate(error) from None
        return [json.loads(document) for document in answer.as_numpy("RESULT").reshape(-1)]

    def _tensor(self, name: str, values: Sequence[bytes]) -> Any:
        data: npt.NDArray[np.object_] = np.empty((len(values), 1), dtype=np.object_)
        data[:, 0] = values
        tensor = self._protocol.InferInput(name, list(data.shape), "BYTES")
        tensor.set_data_from_numpy(data)
        return tensor

    def _translate(self, error: Exception) -> Exception:
        from tritonclient.utils import InferenceServerException

        if not isinstance(error, InferenceServerException):
            return ServerError(f"no answer from {self.url}: {type(error).__name__}: {error}")
        status = str(error.status() or "")
        message = error.message() or "no reason given"
        if any(code in status for code in _REFUSED):
            return InputError(message, reason="refused")
        return ServerError(f"{self.url} answered {status or 'with an error'}: {message}")

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def __enter__(self) -> Client:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()
