"""Encoded bytes to bounded, upright RGB pixels: limits, decoding, views for each network, digests."""
