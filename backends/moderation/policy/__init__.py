"""The rules: `load.load` reads a policy folder, `evaluate.evaluate` turns signals into a verdict.

Loading needs pydantic and PyYAML; deciding needs the standard library only.
"""
