"""YAML as tier files are written in it: plain values only, each key once, of a size that is read at once.

Numbers are those of YAML 1.2: 1e-3 is one, 010 is ten, and 1:30, 1_000 and dates are texts.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from spectral_ssl.errors import UserError, short

LARGEST = 32_768
"""Bytes of a text: ten times the largest tier, and read within a second."""

DEEPEST = 20
MOST = 20_000
"""Levels and values of a text, each alias counted as often as it stands."""

DIGITS = 400  # of a whole number; Python refuses to show those of thousands
INTEGER = re.compile(r"[-+]?[0-9]+|0x[0-9a-fA-F]+|0o[0-7]+")
FLOAT = re.compile(
    r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
TAG = "tag:yaml.org,2002:"
OURS = ("int", "float", "timestamp", "value")  # what PyYAML takes for one is not what is one here
KNOWN = ("null", "bool", "int", "float", "str", "seq", "map")


class Loader(yaml.SafeLoader):
    """PyYAML's safe loader, which refuses besides: other tags, keys that are no text or there twice, and texts that are
    deep or become large.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0
        self._sizes: dict[yaml.Node, int] = {}  # of nodes that are complete

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """A node, once it is known to be neither too deep, nor too large, nor a part of itself."""
        mark, alias = self.peek_event().start_mark, self.check_event(yaml.AliasEvent)
        self._depth += 1
        if self._depth > DEEPEST:
            raise _refused(f"nested in more than {DEEPEST} levels", mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        if node is None:
            return None
        if alias and node not in self._sizes:
            raise _refused("an alias within its own anchor", mark)
        if not alias:
            self._sizes[node] = 1 + sum(self._sizes[inner] for inner in _within(node))
        if self._sizes[node] > MOST:
            raise _refused(f"more than {MOST} values, aliases written out", mark)
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A mapping of texts to values; a key of a merged mapping may be there again."""
        seen = set()
        for key, _ in node.value:
            if key.tag == f"{TAG}merge":
                continue
            if key.tag != f"{TAG}str":
                raise _refused("a key that is no text", key.start_mark)
            if key.value in seen:
                raise _refused(f"key '{short(key.value)}' twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        """A whole number: decimal whatever zeros it begins with, 0x hexadecimal, 0o octal."""
        text = str(self.construct_scalar(node))
        if len(text) > DIGITS or not INTEGER.fullmatch(text):
            raise _refused(f"'{short(text)}', no whole number of up to {DIGITS} digits", node.start_mark)
        return int(text, 0) if text[:2] in ("0x", "0o") else int(text)

    def construct_yaml_float(self, node: yaml.ScalarNode) -> float:
        """A number with a point or an exponent, or one of .inf, -.inf and .nan."""
        text = str(self.construct_scalar(node))
        if not FLOAT.fullmatch(text) and not INTEGER.fullmatch(text):
            raise _refused(f"'{short(text)}', no number", node.start_mark)
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))


Loader.yaml_implicit_resolvers = {
    first: [(tag, form) for tag, form in rules if tag.removeprefix(TAG) not in OURS]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Loader.yaml_constructors = {
    tag: made
    for tag, made in yaml.SafeLoader.yaml_constructors.items()
    if tag is None or tag.removeprefix(TAG) in KNOWN
}
Loader.add_implicit_resolver(f"{TAG}int", re.compile(f"(?:{INTEGER.pattern})$"), list("-+0123456789"))
Loader.add_implicit_resolver(f"{TAG}float", re.compile(f"(?:{FLOAT.pattern})$"), list("-+0123456789."))
Loader.add_constructor(f"{TAG}int", Loader.construct_yaml_int)
Loader.add_constructor(f"{TAG}float", Loader.construct_yaml_float)


def read(path: Path) -> Any:
    """What a YAML file holds. Raises UserError, in one line, for a file that is none or too large."""
    try:
        if path.exists() and not path.is_file():  # opening a pipe would wait for its writer
            raise UserError(f"{path}: cannot read this tier file (no regular file); give a YAML file's path")
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        why = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"{path}: cannot read this tier file ({why}); give a YAML file's path") from None
    if len(content) > LARGEST:
        raise UserError(f"{path}: found more than {LARGEST} bytes; a tier file has a few thousand")
    try:
        return parse(text)
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not valid YAML ({' '.join(str(error).split())}); mend it there") from None


def parse(text: str) -> Any:
    """What a YAML text means; yaml.YAMLError for one that is none or refused."""
    if len(text) > LARGEST:
        raise yaml.YAMLError(f"found more than {LARGEST} characters")
    loader = Loader(text)
    try:
        return loader.get_single_data()
    except (LookupError, ValueError) as error:  # PyYAML's own, for a value that is not of its explicit tag
        raise yaml.YAMLError(f"found a value that its tag does not take: {short(str(error))}") from None
    finally:
        loader.dispose()


def _within(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [inner for pair in node.value for inner in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _refused(what: str, mark: yaml.Mark) -> yaml.YAMLError:
    return yaml.constructor.ConstructorError(None, None, f"found {what}", mark)
