"""A client for Python: images in, decisions out, over HTTP or gRPC."""

from moderation.client.client import Client

__all__ = ["Client"]
