"""A YAML reader for flat data: nothing is executed, nothing refers to anything, nothing is nested deeply."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from nasicon_ml.errors import UnreadableFileError
from nasicon_ml.tables.raw import refuse_repeated

if TYPE_CHECKING:
    import yaml

#: A list of recipes with their fields is three deep. PyYAML's time grows with the square of the depth.
_DEEPEST = 20
_WHOLE = re.compile(r"[-+]?(0|[1-9][0-9]*)")


def plain_loader(name: str) -> type[yaml.SafeLoader]:
    """Make the loader for a file or text, which messages call `name`.

    It is PyYAML's safe loader, without aliases (a few bytes of which can fill the memory), repeated keys and deep
    nesting, each of which raises `UnreadableFileError`.
    """
    import yaml

    class PlainLoader(yaml.SafeLoader):
        depth = 0

        def compose_node(self, parent: Any, index: Any) -> Any:
            line = self.peek_event().start_mark.line + 1  # type: ignore[no-untyped-call]
            if self.check_event(yaml.AliasEvent):
                raise UnreadableFileError(f"{name}, line {line}: YAML aliases (*name) are not read; write it out")
            if self.depth > _DEEPEST:
                raise UnreadableFileError(f"{name}, line {line}: this is nested too deeply for recipes")
            self.depth += 1
            node = super().compose_node(parent, index)
            self.depth -= 1
            return node

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            keys = [str(key.value) for key, _ in node.value]
            refuse_repeated(keys, f"{name}, line {node.start_mark.line + 1}")
            return dict(super().construct_mapping(node, deep=deep))

        def construct_yaml_int(self, node: Any) -> Any:
            # YAML would read 1:30 as ninety and 010 as eight.
            text = str(self.construct_scalar(node))
            return int(text) if _WHOLE.fullmatch(text) else text

        def construct_yaml_float(self, node: Any) -> Any:
            text = str(self.construct_scalar(node))
            return text if ":" in text else super().construct_yaml_float(node)

    for kind in ("int", "float"):
        PlainLoader.add_constructor(f"tag:yaml.org,2002:{kind}", getattr(PlainLoader, f"construct_yaml_{kind}"))
    return PlainLoader
