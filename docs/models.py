"""Writes docs/models.md: what the installed plugins can train, and on what.

python docs/models.py > docs/models.md
"""

import re
from pathlib import Path

from aigc_core.plugins import get_host

HEAD = """\
# Models

What the plugins of this repository can train, on what data, and by what it is measured.
`aigc recipes`, `aigc datasets` and `aigc metrics` list the same for what is installed;
[results](results.md) say how every figure was measured.

## Families and kinds of content

A recipe of each family for each kind of content, the minutes that it was trained on at most two CPU
cores, and its score; the commands are in the next table.
"""
RESULTS = Path(__file__).parent.parent / "benchmarks" / "RESULTS.md"
FAMILIES = ["GAN", "VAE", "autoregressive", "flow", "masked", "two stages"]
ANY = "several at once"


def table(header: list[str], rows: list[list[str]]) -> str:
    """Return a table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def measured() -> dict[str, list[str]]:
    """Return what the table "In short" of the results says of each recipe: command, time, score."""
    text = RESULTS.read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z0-9/-]+)` \| `([^`]+)` \|([^|]*)\|([^|]*)\|$", text, re.MULTILINE)
    return {name: [cell.strip() for cell in cells] for name, *cells in rows}


def matrix() -> str:
    """Return the table of families and modalities."""
    host, facts = get_host(), measured()
    modalities = [*sorted(host.modalities), ANY]
    families = [*FAMILIES, *sorted({r.family for r in host.recipes.values()} - set(FAMILIES))]
    cells: dict[tuple[str, str], list[str]] = {}
    for recipe in sorted(host.recipes.values(), key=lambda r: r.name):
        _, minutes, score = facts.get(recipe.name, ["", "", "not measured"])
        time = f", {minutes} min" if minutes else ""
        cell = cells.setdefault((recipe.family, recipe.modality or ANY), [])
        cell.append(f"**`{recipe.name}`**{time}<br>{score}")
    rows = [
        [family, *("<br>".join(cells.get((family, kind), [""])) for kind in modalities)]
        for family in families
        if any((family, kind) in cells for kind in modalities)
    ]
    return table(["", *modalities], rows)


def page() -> str:
    """Return the whole page."""
    host, facts = get_host(), measured()
    recipes = [
        [
            f"`{r.name}`",
            r.summary,
            f"`{r.dataset}`",
            " ".join(f"`{p}`" for p in r.presets),
            f"`{facts[r.name][0]}`" if r.name in facts else "",
        ]
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
            matrix(),
            "## Recipes\n",
            table(["recipe", "what", "dataset unless named", "presets", "measured with"], recipes),
            "## Datasets\n",
            table(["dataset", "modality", "what", "licence", "needs files or a network"], datasets),
            "## Metrics\n",
            table(["metric", "modality", "what"], metrics),
        ]
    )


if __name__ == "__main__":
    print(page(), end="")
