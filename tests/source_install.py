"""Makes a folder with a ``pyproject.toml`` an installed plugin, as ``pip install -e`` would.

Without pip, a network or a change to the environment that the tests run in: a ``.dist-info``
folder is written, and its folder and the source's are what ``PYTHONPATH`` has to name.
"""

import tomllib
from pathlib import Path


def install_source(source: Path, site: Path) -> list[Path]:
    """Write a project's metadata into ``site``; return the folders to put on the path."""
    project = tomllib.loads((source / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    name, version = project["name"], project["version"]
    folder = site / f"{name.replace('-', '_')}-{version}.dist-info"
    folder.mkdir(parents=True)
    headers = ["Metadata-Version: 2.4", f"Name: {name}", f"Version: {version}"]
    headers += [f"Requires-Dist: {requirement}" for requirement in project["dependencies"]]
    (folder / "METADATA").write_text("\n".join(headers) + "\n", encoding="utf-8")
    groups = [
        f"[{group}]\n" + "".join(f"{key} = {value}\n" for key, value in entries.items())
        for group, entries in project["entry-points"].items()
    ]
    (folder / "entry_points.txt").write_text("\n".join(groups), encoding="utf-8")
    return [site, source]
