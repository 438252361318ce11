"""What the classes of the networks mean that a release calls, from their manifests in the served repository."""

from __future__ import annotations

from pathlib import Path

from moderation import contract
from moderation.models import manifest
from moderation.models.labels import Classes
from moderation.pipeline.moderate import Labels
from moderation.pipeline.release import Release


def load_labels(repository: Path, release: Release) -> Labels:
    """Labels by class index; none for a network that is not there.

    Raises:
        ModelBuildError: a manifest is wrong, or has a label that the taxonomy does not know.
    """

    def classes(model: str) -> Classes:
        path = repository / model / str(release.versions[model]) / manifest.FILE
        return manifest.load(path).mapping() if path.is_file() else Classes()

    return Labels(classes(contract.SAFETY), classes(contract.CLASSIFIER))
