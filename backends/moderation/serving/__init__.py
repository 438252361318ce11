"""What every thin backend shares. Only `adapter` imports Triton's Python module."""
