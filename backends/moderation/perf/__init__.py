"""Measures a deployment with the real perf_analyzer of the tritonclient wheel."""
