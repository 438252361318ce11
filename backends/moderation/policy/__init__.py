"""The rules: `load.load` reads a policy folder, `evaluate.evaluate` turns signals into a verdict.

The language is described in model_repository/moderation-decision-logic/README.md; its shape is in `schema` and
`rule_schema`.
`explain` and `replay` are for people who write policies; `cases` holds a policy to its own tests.
"""
