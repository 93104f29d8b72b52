"""Plugins written into a folder as pip would leave them, and ``aigc`` run in a process with them.

Nothing is built or installed: a distribution is a module and a ``.dist-info`` folder beside it,
and the folder stands on ``PYTHONPATH``.
"""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aigc_core.plugins import API_VERSION

AIGC = (sys.executable, "-m", "aigc_core")

RECIPE = """
from aigc_core import DatasetSpec, ModalitySpec, RecipeSpec, hookimpl

@hookimpl
def aigc_register_modalities():
    return [ModalitySpec(name="{0}", summary="", code="{0}_code:Modality")]

@hookimpl
def aigc_register_datasets():
    return [DatasetSpec(name="{0}-data", modality="{0}", summary="", code="{0}_code:Data")]

@hookimpl
def aigc_register_recipes():
    return [
        RecipeSpec(name="{0}/net", summary="", build="{0}_code:build", model="{0}_code:Model",
                   trainer="{0}_code:Trainer", dataset="{0}-data")
    ]
"""
"""Code of a plugin that brings the modality ``{0}``, the dataset ``{0}-data``, the recipe
``{0}/net``. Nothing of it can be trained: their code is nowhere."""


@dataclass
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def warnings(self) -> list[str]:
        return [line for line in self.err.splitlines() if line.startswith("Warning: ")]

    def json(self) -> Any:
        assert self.code == 0, self
        return json.loads(self.out)


@dataclass
class FakePlugins:
    """A folder of installed distributions."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    """Variables for every command, over those of the tests."""

    def add(
        self,
        name: str,
        code: str = "",
        *,
        distribution: str | None = None,
        version: str = "1.0",
        module: str | None = None,
        entry_point: str | None = None,
        requires: Sequence[str] = (),
        api: str | None = str(API_VERSION),
        source: Path | None = None,
    ) -> Path:
        """Install a plugin, and return its ``.dist-info`` folder.

        Args:
            name: the entry point's.
            code: of its module.
            distribution: ``aigc-NAME`` if not given.
            version: of the distribution.
            module: its name; ``fake_NAME`` if not given.
            entry_point: what the entry point names, if not the module.
            requires: lines ``Requires-Dist``.
            api: name of the entry point in the group ``aigc.api``.
            source: for an editable installation: the folder that holds the module instead.
        """
        distribution = distribution or f"aigc-{name}"
        module = module or f"fake_{name.replace('-', '_')}"
        home = source or self.folder
        home.mkdir(parents=True, exist_ok=True)
        (home / f"{module}.py").write_text(textwrap.dedent(code), encoding="utf-8")
        entry_points = f"[aigc.plugins]\n{name} = {entry_point or module}\n"
        if api is not None:
            entry_points += f"[aigc.api]\n{api} = {module}\n"
        files: dict[str, str] = {"entry_points.txt": entry_points}
        files["METADATA"] = metadata(distribution, version, requires)
        if source is not None:
            url = {"url": source.as_uri(), "dir_info": {"editable": True}}
            files["direct_url.json"] = json.dumps(url)
        return self.dist_info(distribution, version, files)

    def dist_info(
        self,
        distribution: str,
        version: str,
        files: Mapping[str, str | bytes],
        *,
        record: bool = True,
    ) -> Path:
        """Write a ``.dist-info`` folder, with a RECORD as pip's uninstall wants it."""
        folder = self.folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
        folder.mkdir(parents=True)
        for name, content in files.items():
            data = content if isinstance(content, bytes) else content.encode("utf-8")
            (folder / name).write_bytes(data)
        if record:
            names = [f"{folder.name}/{name}" for name in (*files, "RECORD")]
            (folder / "RECORD").write_text("".join(f"{name},,\n" for name in names))
        return folder

    def add_pip(self, code: str) -> None:
        """Put a module in pip's place; ``python -m pip`` runs it."""
        (self.folder / "pip").mkdir(parents=True)
        (self.folder / "pip" / "__init__.py").write_text("")
        (self.folder / "pip" / "__main__.py").write_text(textwrap.dedent(code), encoding="utf-8")

    def variables(self) -> dict[str, str]:
        path = os.environ.get("PYTHONPATH", "").split(os.pathsep)
        return {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(self.folder), *filter(None, path)]),
            "PYTHONDONTWRITEBYTECODE": "1",
            "AIGC_CONFIG_DIR": str(self.folder.parent / "config"),
            **self.environment,
        }

    def aigc(self, *arguments: object, **variables: str) -> Done:
        """Run ``aigc`` in a process of its own."""
        begin = time.monotonic()
        done = subprocess.run(
            [*AIGC, *map(str, arguments)],
            env={**self.variables(), **variables},
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="backslashreplace",
            timeout=120,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr, time.monotonic() - begin)

    def start(self, *arguments: object) -> subprocess.Popen[str]:
        """Start ``aigc`` in a process of its own, and leave it to the caller."""
        return subprocess.Popen(
            [*AIGC, *map(str, arguments)],
            env={**self.variables(), "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def aigc_and_signal(self, number: signal.Signals, reported: str, *arguments: object) -> Done:
        """Run ``aigc`` and send it a signal when a line with ``reported`` stands on standard error.

        The seconds are those from the signal to the end.
        """
        with self.start(*arguments) as process:
            assert process.stderr is not None
            lines = []
            for line in process.stderr:
                lines.append(line)
                if reported in line:
                    break
            begin = time.monotonic()
            process.send_signal(number)
            out, err = process.communicate(timeout=60)
        return Done(process.returncode, out, "".join(lines) + err, time.monotonic() - begin)


def metadata(distribution: str, version: str, requires: Sequence[str] = ()) -> str:
    """Return a METADATA file."""
    lines = [f"Name: {distribution}", f"Version: {version}"]
    lines += [f"Requires-Dist: {requirement}" for requirement in requires]
    return "Metadata-Version: 2.1\n" + "\n".join(lines) + "\n"
