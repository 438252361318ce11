"""Starts the real tritonserver on this machine, watches over it and stops it gracefully."""
