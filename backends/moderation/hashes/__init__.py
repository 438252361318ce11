"""Lists of known pictures: exact by SHA-256, alike by PDQ."""
