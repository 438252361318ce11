"""A client for Python: images in, decisions out, over HTTP or gRPC."""

from moderation.client.address import Address
from moderation.client.client import Client

__all__ = ["Address", "Client"]
