"""`moderation models labels`: the taxonomy as a tree, with the networks that answer for each name."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from moderation.models import store
from moderation.taxonomy import Taxonomy, parents


def print_labels(repository: Path) -> None:
    """The tree on standard output.

    Raises:
        ModelBuildError: a manifest is wrong.
    """
    taxonomy, givers = Taxonomy.load(), answering(repository)
    console = Console()
    console.print(f"taxonomy {taxonomy.version}; in brackets the networks that give a name", highlight=False)
    custom = {name: "your own" for name in givers if not (name in taxonomy.labels or name in taxonomy.content_types)}
    for name in list(custom):
        custom.update((above, "your own") for above in parents(name))
    for title, names in (
        ("labels", {**taxonomy.labels, **dict(sorted(custom.items()))}),
        ("content types", taxonomy.content_types),
    ):
        nodes = {"": Tree(Text(title, style="bold"))}
        for name, about in names.items():
            parent, _, last = name.rpartition("/")
            line = Text.assemble((last, "bold" if not parent else ""), (f"  {about}", "dim"))
            if givers.get(name):
                line.append(f"  [{', '.join(givers[name])}]", "green")
            nodes[name] = nodes[parent].add(line)
        console.print(nodes[""])


def answering(repository: Path) -> dict[str, list[str]]:
    """Networks (`model:version`) by the names that they give."""
    found: dict[str, list[str]] = defaultdict(list)
    for entry in store.entries(repository):
        for name in entry.manifest.mapping().names():
            found[name].append(entry.name)
    return found
