"""Build the site of the documentation into build/site, without network; every warning is an error.

    python -m tools.build_site [option of Sphinx ...]

The pages are those of the forge, as they stand: README, docs/, notebooks and cards. The sections of docs/README.md
are the parts of the site, its links their order; the modules in the table of docs/reference.md get a page each.
All is laid out in build/site-source first, so that nothing is written among the sources.
"""

from __future__ import annotations

import importlib
import inspect
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import GenericAlias, ModuleType

from sphinx.pycode import ModuleAnalyzer

ROOT = Path(__file__).resolve().parents[1]
SOURCE, SITE = ROOT / "build" / "site-source", ROOT / "build" / "site"
INDEX, REFERENCE = Path("docs/README.md"), Path("docs/reference.md")
HOME, ROOF = Path("README.md"), "nasicon_ml"
_LINK = re.compile(r"\]\(([^)#\s]+\.(?:md|ipynb))\)")
_MODULE = re.compile(r"^\| `(nasicon_ml[\w.]*)` \|", re.MULTILINE)


def parts(index: str) -> dict[str, list[str]]:
    """Return the pages of each part of the site, as paths from the root, in the order of docs/README.md."""
    found = {}
    for section in index.split("\n## ")[1:]:
        title, text = section.split("\n", 1)
        pages = [
            (ROOT / INDEX.parent / link).resolve().relative_to(ROOT).as_posix() for link in _LINK.findall(text)
        ]
        found[title.strip()] = [page for page in pages if page != str(HOME)]
    return found


def public_modules(reference: str) -> list[str]:
    """Return the modules in the table of docs/reference.md."""
    return _MODULE.findall(reference)


def public_names(module: ModuleType) -> list[str]:
    """Return what a module offers: its ``__all__``, or the classes, functions and constants it documents."""
    listed = getattr(module, "__all__", None)
    if listed is not None:
        return [name for name in listed if not name.startswith("_")]
    constants = {name for scope, name in ModuleAnalyzer.for_module(module.__name__).find_attr_docs() if not scope}
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and not isinstance(value, GenericAlias)
        and (name in constants or _is_defined_in(module, value))
    ]


def reference_page(name: str) -> str:
    """Return the page of a module: what it says of itself, and everything it offers."""
    module = importlib.import_module(name)
    lines = [name, "=" * len(name), "", f".. automodule:: {name}"]
    if not hasattr(module, "__all__"):
        return "\n".join([*lines, f"   :members: {', '.join(public_names(module))}", ""])
    for offered in public_names(module):
        value = getattr(module, offered)
        if name != ROOF and offered in importlib.import_module(ROOF).__all__:
            lines += ["", f"- `{ROOF}.{offered}`"]  # described once
        elif inspect.isclass(value):
            lines += ["", f".. autoclass:: {name}.{offered}", "   :members:"]
        else:
            lines += ["", f".. auto{'function' if callable(value) else 'data'}:: {name}.{offered}"]
    return "\n".join([*lines, ""])


def toctree(pages: list[str], caption: str = "") -> str:
    """Return a hidden list of pages for Sphinx, as MyST writes it."""
    head = ["", "```{toctree}", ":hidden:", *([f":caption: {caption}"] if caption else []), ""]
    return "\n".join([*head, *(f"/{page}" for page in pages), "```", ""])


def lay_out() -> None:
    """Write what Sphinx builds into build/site-source: the files, the tree of pages, the reference."""
    shutil.rmtree(SOURCE, ignore_errors=True)
    for name in _tracked():
        target = SOURCE / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target)
    sections = parts((ROOT / INDEX).read_text(encoding="utf-8"))
    next(iter(sections.values())).insert(0, INDEX.as_posix())
    modules = public_modules((ROOT / REFERENCE).read_text(encoding="utf-8"))
    _append(SOURCE / HOME, "".join(toctree(pages, title) for title, pages in sections.items()))
    _append(SOURCE / REFERENCE, toctree([f"reference/{name}" for name in modules]))
    (SOURCE / "reference").mkdir()
    for name in modules:
        (SOURCE / "reference" / f"{name}.rst").write_text(reference_page(name), encoding="utf-8")


def pages_of_the_site() -> list[str]:
    """Return the patterns of the files that are pages."""
    listed = [page for pages in parts((ROOT / INDEX).read_text(encoding="utf-8")).values() for page in pages]
    return [str(HOME), "docs/*.md", "reference/*.rst", *listed]


def main() -> int:
    """Lay out the pages and run Sphinx; return its exit code."""
    lay_out()
    shutil.rmtree(SITE, ignore_errors=True)
    patterns = ",".join(pages_of_the_site())
    command = [
        sys.executable, "-m", "sphinx", "--builder", "html", "--fail-on-warning", "--keep-going", "--quiet",
        "--conf-dir", str(ROOT / "docs" / "_site"), "--define", f"include_patterns={patterns}",
        *sys.argv[1:], str(SOURCE), str(SITE),
    ]  # fmt: skip
    code = subprocess.run(command, check=False).returncode
    if code == 0:
        sys.stdout.write(f"the site: {(SITE / 'index.html').relative_to(ROOT)}\n")
    return code


def _is_defined_in(module: ModuleType, value: object) -> bool:
    is_defined = inspect.isclass(value) or inspect.isfunction(value)
    return is_defined and value.__module__ == module.__name__ and not getattr(value, "_is_protocol", False)


def _tracked() -> list[str]:
    """Return the files of the repository that git knows or would add."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def _append(path: Path, text: str) -> None:
    path.write_text(path.read_text(encoding="utf-8") + text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
