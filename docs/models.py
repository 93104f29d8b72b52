"""Writes docs/models.md: what the installed plugins can train, and on what.

python docs/models.py > docs/models.md
"""

from aigc_core.plugins import get_host

HEAD = """\
# Models

What the plugins of this repository can train, on what data, and by what it is measured.
`aigc recipes`, `aigc datasets` and `aigc metrics` list the same for what is installed;
[results](results.md) say how well it does.
"""


def table(header: list[str], rows: list[list[str]]) -> str:
    """Return a table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def page() -> str:
    """Return the whole page."""
    host = get_host()
    recipes = [
        [f"`{r.name}`", r.summary, f"`{r.dataset}`", " ".join(f"`{p}`" for p in r.presets)]
        for r in sorted(host.recipes.values(), key=lambda r: r.name)
    ]
    datasets = [
        [f"`{d.name}`", d.modality, d.summary, d.licence or "yours", "" if d.embedded else "yes"]
        for d in sorted(host.datasets.values(), key=lambda d: (d.modality, d.name))
    ]
    metrics = [
        [f"`{m.name}`", m.modality or "any", m.summary]
        for m in sorted(host.metrics.values(), key=lambda m: m.name)
    ]
    return "\n".join(
        [
            HEAD,
            "## Recipes\n",
            table(["recipe", "what", "dataset unless named", "presets"], recipes),
            "## Datasets\n",
            table(["dataset", "modality", "what", "licence", "needs files or a network"], datasets),
            "## Metrics\n",
            table(["metric", "modality", "what"], metrics),
        ]
    )


if __name__ == "__main__":
    print(page(), end="")
