"""Label names of the networks that a release calls, from their manifests in the served repository."""

from __future__ import annotations

from pathlib import Path

from moderation import contract
from moderation.models import manifest
from moderation.pipeline.moderate import Labels
from moderation.pipeline.release import Release


def load_labels(repository: Path, release: Release) -> Labels:
    """Labels by class index; empty for a network that is not there.

    Raises:
        ModelBuildError: a manifest is wrong.
    """

    def names(model: str) -> list[str]:
        path = repository / model / str(release.versions[model]) / manifest.FILE
        return manifest.load(path).labels if path.is_file() else []

    return Labels(names(contract.SAFETY), names(contract.CLASSIFIER))
