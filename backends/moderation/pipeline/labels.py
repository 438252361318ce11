"""What the classes of the networks mean that a release calls, from their manifests in the served repository."""

from __future__ import annotations

from pathlib import Path

from moderation import contract
from moderation.images.views import View
from moderation.models import manifest
from moderation.models.labels import Classes
from moderation.pipeline.release import Release
from moderation.pipeline.run import Labels


def load_labels(repository: Path, release: Release) -> Labels:
    """Labels by class index; none for a network that is not there.

    Raises:
        ModelBuildError: a manifest is wrong, or has a label that the taxonomy does not know.
    """

    manifests = {
        model: manifest.load(path)
        for model, version in release.versions.items()
        if (path := repository / model / str(version) / manifest.FILE).is_file()
    }

    def classes(model: str) -> Classes:
        return manifests[model].mapping() if model in manifests else Classes()

    judge = manifests.get(contract.SAFETY_CLASSIFIER)
    return Labels(
        classes(contract.SAFETY),
        classes(contract.CLASSIFIER),
        classes(contract.SAFETY_CLASSIFIER),
        View.parse("view", judge.view) if judge and judge.view else None,
    )
