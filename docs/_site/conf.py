"""Settings of the site; `make site` (tools/build_site.py) lays out what is built and calls Sphinx."""

from importlib.metadata import version as installed_version
from typing import Any

from pygments.lexers.special import TextLexer

project = "nasicon-ml"
author = "the nasicon-ml developers"
version = release = installed_version("nasicon-ml")
root_doc = "README"
html_title = f"{project} {version}"

extensions = ["sphinx.ext.autodoc", "numpydoc", "myst_nb"]
templates_path = ["templates"]

# Pages are plain Markdown, as the forge shows them: links to headings are those of the forge.
myst_heading_anchors = 4
myst_enable_extensions = []
# Notebooks are shown with the outputs that are kept in them.
nb_execution_mode = "off"
nb_merge_streams = True
nb_mime_priority_overrides = [("html", "text/html", 0)]

# Names in single backticks in a docstring are links where they can be.
default_role = "py:obj"
autodoc_typehints = "none"  # types stand in the docstrings
autodoc_member_order = "bysource"
autodoc_class_signature = "mixed"
numpydoc_show_class_members = False
toc_object_entries_show_parents = "hide"
add_module_names = False

# The code blocks of a page are of these languages; others are text.
highlight_language = "text"

html_theme = "pydata_sphinx_theme"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_js_files = ["site.js"]
html_extra_path = ["first"]
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False
html_sidebars = {"**": ["whole-tree"]}
html_theme_options = {
    "logo": {"text": project},
    "navbar_center": [],
    "navbar_align": "left",
    "secondary_sidebar_items": ["page-toc"],
    "show_toc_level": 2,
    "footer_start": [],
    "footer_end": [],
    "show_prev_next": True,
    "search_as_you_type": True,
}


def is_left_out(_app: Any, _what: str, name: str, value: Any, skip: bool, _options: Any) -> bool:
    """Leave out what is there for type checkers, and the methods that scikit-learn puts into every estimator."""
    return skip or getattr(value, "_is_protocol", False) or (name.startswith("set_") and name.endswith("_request"))


def setup(app: Any) -> None:
    """Connect the above with Sphinx; show blocks of CSV as they are."""
    app.connect("autodoc-skip-member", is_left_out)
    app.add_lexer("csv", TextLexer)
