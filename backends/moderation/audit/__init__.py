"""What was decided about whom, kept so that nobody can change it unseen.

A folder of JSON Lines segments; each line holds the hash of the line before it. The hash covers a salted digest of the
body and not the body itself, so that an erasure request takes a body away and the chain still verifies.
"""
