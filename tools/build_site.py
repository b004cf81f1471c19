"""Build the documentation site in build/site, without network access; every warning is an error.

    python -m tools.build_site [option of Sphinx ...]

The pages are the Markdown files and notebooks of the repository. Sections and links of docs/README.md define the
parts of the site and the order of the pages; each module in the table of docs/reference.md gets a page. The pages
are first copied to build/site-source, so that nothing is written among the sources.
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
HOME, PACKAGE = Path("README.md"), "nasicon_ml"
_LINK = re.compile(r"\]\(([^)#\s]+\.(?:md|ipynb))\)")
_MODULE = re.compile(r"^\| `(nasicon_ml[\w.]*)` \|", re.MULTILINE)


def parts(index: str) -> dict[str, list[str]]:
    """Return the pages of each part of the site, as paths from the root, in the order of docs/README.md."""
    sections = {}
    for section in index.split("\n## ")[1:]:
        title, text = section.split("\n", 1)
        pages = [
            (ROOT / INDEX.parent / link).resolve().relative_to(ROOT).as_posix() for link in _LINK.findall(text)
        ]
        sections[title.strip()] = [page for page in pages if page != str(HOME)]
    return sections


def public_modules(reference: str) -> list[str]:
    """Return the modules in the table of docs/reference.md."""
    return _MODULE.findall(reference)


def public_names(module: ModuleType) -> list[str]:
    """Return the names in ``__all__`` of a module, else its classes, functions and documented constants."""
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
    """Return the reference page of a module, with its docstring and public names."""
    module = importlib.import_module(name)
    lines = [name, "=" * len(name), "", f".. automodule:: {name}"]
    if not hasattr(module, "__all__"):
        return "\n".join([*lines, f"   :members: {', '.join(public_names(module))}", ""])
    for member in public_names(module):
        value = getattr(module, member)
        if name != PACKAGE and member in importlib.import_module(PACKAGE).__all__:
            lines += ["", f"- `{PACKAGE}.{member}`"]  # documented on the page of the package
        elif inspect.isclass(value):
            lines += ["", f".. autoclass:: {name}.{member}", "   :members:"]
        else:
            lines += ["", f".. auto{'function' if callable(value) else 'data'}:: {name}.{member}"]
    return "\n".join([*lines, ""])


def toctree(pages: list[str], caption: str = "") -> str:
    """Return a hidden table of contents in MyST syntax."""
    head = ["", "```{toctree}", ":hidden:", *([f":caption: {caption}"] if caption else []), ""]
    return "\n".join([*head, *(f"/{page}" for page in pages), "```", ""])


def write_source() -> None:
    """Write the files, tables of contents and reference pages that Sphinx reads to build/site-source."""
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
    """Write the source, run Sphinx and return its exit code."""
    write_source()
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
    """Return the files of the repository that git tracks or would add."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def _append(path: Path, text: str) -> None:
    path.write_text(path.read_text(encoding="utf-8") + text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
