"""The names of everything a model can find: three levels, documented, versioned."""

from moderation.taxonomy.taxonomy import Taxonomy, parents

__all__ = ["Taxonomy", "parents"]
