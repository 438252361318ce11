"""Finds better settings for models: searched by Model Analyzer or in turn, judged by repeated measurement."""
