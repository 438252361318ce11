"""The library's only door to Triton's Python module: parameters, tensors, errors and BLS calls.

`triton_python_backend_utils` exists only inside a stub process, so nothing outside the backends imports this module.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import triton_python_backend_utils as pb

from moderation.access import internal
from moderation.errors import InputError, ModerationError, StageError, triton_code

Array = npt.NDArray[Any]


def parameters(args: Mapping[str, str]) -> dict[str, str]:
    """The `parameters` of a model's configuration, as text."""
    config = json.loads(args["model_config"])
    return {key: value["string_value"] for key, value in config.get("parameters", {}).items()}


def request_parameters(request: Any) -> dict[str, Any]:
    """The caller's parameters and forwarded headers of one request; names in small letters, as HTTP has no case."""
    text = request.parameters()
    found = json.loads(text) if text else {}
    settings = {name.lower(): value for name, value in found.items()}
    if len(settings) < len(found):  # which one counts must not depend on who looks
        raise InputError("two parameters or headers differ in upper and lower case only", reason="ambiguous_parameter")
    return settings


def from_pipeline(request: Any, model: str) -> dict[str, Any]:
    """The parameters of a request to an internal model.

    Raises:
        AccessError: authentication is on and the request does not come from the pipeline.
    """
    settings = request_parameters(request)
    internal.check(model, settings)
    return settings


def wants_inline_faults(settings: Mapping[str, Any]) -> bool:
    """Whether refusals go into the output as data.

    A BLS caller sees every error as INTERNAL with a sentence (python_backend 24.10), and so could not tell the caller's
    fault from ours, nor limit from value.
    """
    return bool(settings.get("faults") == "inline")


def array(request: Any, name: str) -> Array | None:
    """An input as numpy, or None when the caller left an optional one out."""
    tensor = pb.get_input_tensor_by_name(request, name)
    return None if tensor is None else tensor.as_numpy()


def required(request: Any, name: str) -> Array:
    """An input that must be there.

    Raises:
        InputError: it is not.
    """
    found = array(request, name)
    if found is None:
        raise InputError(f"input {name} is missing", reason="missing_input")
    return found


def strings(values: Sequence[str | bytes]) -> npt.NDArray[np.object_]:
    """Text as a BYTES array of shape [len(values)]."""
    out = np.empty(len(values), dtype=np.object_)
    out[:] = [v.encode() if isinstance(v, str) else v for v in values]
    return out


def response(outputs: Mapping[str, Array]) -> Any:
    """An answer."""
    return pb.InferenceResponse(
        output_tensors=[pb.Tensor(name, np.ascontiguousarray(v)) for name, v in outputs.items()]
    )


def report(error: Exception, model: str) -> str:
    """The sentence for the caller; where an unexpected error came from stays in the server's log."""
    if isinstance(error, ModerationError):
        return error.message
    pb.Logger.log_error(f"{model}: unexpected {type(error).__name__} at {_where(error)}")
    return f"{model}: unexpected {type(error).__name__}"


def log(sentence: str, *, error: bool = False) -> None:
    """A line in the server's log."""
    (pb.Logger.log_error if error else pb.Logger.log_info)(sentence)


def error_response(error: Exception, model: str) -> Any:
    """An error with the status code of the one table."""
    return pb.InferenceResponse(error=pb.TritonError(report(error, model), getattr(pb.TritonError, triton_code(error))))


def _where(error: Exception) -> str:
    """File and line of the deepest frame: enough to find the fault, and no caller's data."""
    trace = error.__traceback__
    place = "unknown place"
    while trace is not None:
        place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place


def metric_family(name: str, description: str, kind: str) -> Any:
    """A `counter`, `gauge` or `histogram` on the metrics port; its `Metric(labels=…)` makes a series."""
    return pb.MetricFamily(name=name, description=description, kind=getattr(pb.MetricFamily, kind.upper()))


async def call(
    model: str,
    inputs: Mapping[str, Array],
    outputs: Sequence[str],
    *,
    version: int = -1,
    parameters: Mapping[str, str] | None = None,
    request_id: str = "",
    trace: Any = None,
) -> dict[str, Array]:
    """One BLS call.

    Raises:
        InputError: the model refused its input.
        StageError: anything else; the message names the model and Triton's sentence.
    """
    extra: dict[str, Any] = {} if trace is None else {"trace": trace}
    request = pb.InferenceRequest(
        model_name=model,
        model_version=version,
        requested_output_names=list(outputs),
        inputs=[pb.Tensor(name, np.ascontiguousarray(value)) for name, value in inputs.items()],
        request_id=request_id,
        parameters={**(parameters or {}), **internal.parameters()},
        **extra,
    )
    try:
        answer = await request.async_exec()
    except pb.TritonModelException as error:
        raise StageError(f"{model} did not answer: {error}") from None
    if answer.has_error():
        failure = answer.error()
        if failure.code() == pb.TritonError.INVALID_ARG:
            raise InputError(failure.message(), reason="refused_by_stage")
        raise StageError(f"{model} failed: {failure.message()}")
    return {name: pb.get_output_tensor_by_name(answer, name).as_numpy() for name in outputs}


async def call_alone(
    model: str, version: int, inputs: Mapping[str, Array], outputs: Sequence[str], parameters: Mapping[str, str]
) -> dict[str, Array]:
    """A BLS call on nobody's behalf; see `call`."""
    return await call(model, inputs, outputs, version=version, parameters=parameters)


ASK_EVERY_S: Final = 0.1
"""Whether a caller has gone takes a message to Triton and its answer, while the event loop waits; most requests end
sooner than this."""


class Caller:
    """BLS calls on behalf of one request: same trace, same id, stops when the caller has gone."""

    def __init__(self, request: Any) -> None:
        self._request = request
        self._asked = time.monotonic()
        self._trace = request.trace()
        self._id = request.request_id()

    def trace_id(self) -> str:
        """Id of the request's trace in hex (W3C Trace Context), empty where it is not traced."""
        context = self._trace.get_context() if self._trace else None
        return str(json.loads(context)["traceparent"]).split("-")[1] if context else ""

    def cancelled(self) -> bool:
        """Whether the client cancelled the request (gRPC only), by a look every `ASK_EVERY_S`."""
        now = time.monotonic()
        if now - self._asked < ASK_EVERY_S:
            return False
        self._asked = now
        return bool(self._request.is_cancelled())

    async def __call__(
        self,
        model: str,
        version: int,
        inputs: Mapping[str, Array],
        outputs: Sequence[str],
        parameters: Mapping[str, str],
    ) -> dict[str, Array]:
        """See `call`."""
        return await call(
            model,
            inputs,
            outputs,
            version=version,
            parameters=parameters,
            request_id=self._id,
            trace=self._trace,
        )
