"""Image content moderation inside NVIDIA Triton Inference Server: the library behind every backend and the CLI."""

import sys

__version__ = "0.1.0"

# OpenVINO tells its makers over the network that it was imported. What a moderation server does is nobody's business:
# the package that does it cannot be imported here, and OpenVINO does without (openvino/tools/ovc/telemetry_utils.py).
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
