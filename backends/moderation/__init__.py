"""Image content moderation inside NVIDIA Triton Inference Server: the library behind every backend and the CLI."""

__version__ = "0.1.0"
