"""Reading text that tries to hide what it says: normalisation, term lists, personal data, links and domain lists.

Pure functions and immutable indexes; nothing here knows about policies or Triton.
"""
