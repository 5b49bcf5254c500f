"""Edits that spoil files: of JSON its tree, of text its words, of anything its bytes; and the strategies that draw them."""

import copy
import json
import re
import struct
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

from hypothesis import strategies as st

Files = dict[str, bytes]
BOMB = "bomb.png"


class Raw(NamedTuple):
    """What stands in a JSON text as it is, for `json` would not write it."""

    text: str


class Deep(NamedTuple):
    """So many lists, each in another."""

    depth: int


class Node(NamedTuple):
    """Change the tree of a JSON file where `path` leads to: numbers that count, at each level, the children.

    what: delete, put, repeat or wrap the node, or swap it with the one that `value` leads to.
    """

    file: int
    path: tuple[int, ...]
    what: str
    value: Any


class Word(NamedTuple):
    """Put `value` for a word of a text file."""

    file: int
    number: int
    value: str


class Bytes(NamedTuple):
    """Change the bytes of a file at `at`: flip, cut, remove, insert, write or move. `mend` makes a PNG's check sums right again."""

    file: int
    at: int
    what: str
    value: bytes
    mend: bool


class Instead(NamedTuple):
    """Another file, by its name among `pictures`."""

    file: int
    picture: str


Edit = Node | Word | Bytes | Instead

# fmt: off
NUMBERS = [0, 1, -1, 2, 7, 20, 30, 31, 255, 256, 918, 2**31 - 1, 2**31, 2**53 + 1, 2**63 - 1, 2**63, -(2**63) - 1, 2**64, 10**30, 10**400]
NUMBERS += [0.5, -0.0, 1e-300, 1e9, 1e12, 3e38, 1e308, -1e308, float("nan"), float("inf"), float("-inf"), Raw("1" * 5000), Raw("1e999")]
TEXTS = ["", " ", "a", "0", "7", "11", "null", "\x00", "a\x00.png", "\ud800", "\udcff", "é", "🛶", "..", ".", "/", "/etc/passwd"]
TEXTS += ["../a.png", "a/../../a.png", "a/../a.png", "./a.png", "a.png/", "a.png", "b.png", "A.PNG", "C:\\a.png", "x" * 300]
TEXTS += ["polygon", "circle", "mask", "\n", "<b>&", "%s{}", "PPPPPPPPPPPPPPPPPPPP0", "hP", "52", "a\nb"]
OTHERS = [None, True, False, [], {}, [[]], [{}], [1, 2], [[1, 1, 5, 5]], [[1, 1, 9, 1, 9, 9]], {"id": 1}]
OTHERS += [{"size": [20, 30], "counts": [600]}]
OTHERS += [{"size": [20.0, 30.0], "counts": [5, 595]}, {"size": [20, 30], "counts": [5, 2**63, 5]}, {"size": [20, 30], "counts": "52"}]
OTHERS += [Deep(50), Deep(900), Deep(960), Deep(3000), Raw('{"id": 1, "id": 2}'), ["x" * 5000] * 3]

NUMBERS += [-40, 3, 12, 29, 40, 61, 911, 1002, -0.5, 19.5, 50.25]

values = st.sampled_from([*NUMBERS, *TEXTS, *OTHERS])
paths = st.lists(st.integers(0, 12), min_size=1, max_size=7).map(tuple)
WORDS = ["", "-1", "0", "1e999", "nan", "inf", "1e12", "0.5", "2", "x", "\x00", "[", "{", ": ", "&a", "*a", "- "]
WORDS += ["!!python/object:os.system", "2001-99-99", "0x", "<", "</object>", "&x;"]
WORDS += ["9" * 300, "é", "\u2028", "\n", "1 2 3", "../a", "0.1 0.2", "1:99", "=", "~"]
# fmt: on


def nodes(file: int) -> st.SearchStrategy[Node]:
    changes = [st.builds(Node, st.just(file), paths, st.just(what), values) for what in ("put", "put", "put", "put")]
    changes += [st.builds(Node, st.just(file), paths, st.just(what), st.none()) for what in ("delete", "repeat", "wrap")]
    return st.one_of(*changes, st.builds(Node, st.just(file), paths, st.just("swap"), paths))


def words(file: int) -> st.SearchStrategy[Word]:
    return st.builds(Word, st.just(file), st.integers(0, 60), st.sampled_from(WORDS))


def changed_bytes(file: int) -> st.SearchStrategy[Bytes]:
    at = st.one_of(st.integers(0, 120), st.integers(0, 2**16))
    chunk = st.one_of(
        st.binary(min_size=1, max_size=4),
        st.sampled_from([b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\x2e\xe0", b'"', b"["]),
    )
    what = st.sampled_from(["flip", "flip", "write", "cut", "remove", "insert", "move"])
    return st.builds(Bytes, st.just(file), at, what, chunk, st.booleans())


def apply(files: Files, edits: list[Edit], pictures: Files) -> Files:
    """The files with all edits made, one after the other; the tree of a JSON file that bytes were changed of stays as it is."""
    spoilt, names = dict(files), list(files)
    for edit in edits:
        name = names[edit.file]
        if isinstance(edit, Node):
            spoilt[name] = _edit_json(spoilt[name], edit)
        elif isinstance(edit, Word):
            spoilt[name] = _edit_words(spoilt[name], edit)
        elif isinstance(edit, Bytes):
            spoilt[name] = _edit_bytes(spoilt[name], edit)
        elif pictures[edit.picture] not in spoilt.values() or edit.picture != BOMB:  # two are a huge picture and its mask, which is sound
            spoilt[name] = pictures[edit.picture]
    return spoilt


def _edit_json(content: bytes, edit: Node) -> bytes:
    try:
        return _edited_tree(content, edit)
    except (ValueError, RecursionError):
        return content


def _edited_tree(content: bytes, edit: Node) -> bytes:
    tree = [json.loads(content)]
    holder, key = _found(tree, edit.path)
    other = _found(tree, edit.value) if edit.what == "swap" else None
    placeholders: dict[str, str] = {}
    if other is not None:
        holder[key], other[0][other[1]] = copy.deepcopy(other[0][other[1]]), copy.deepcopy(holder[key])
    elif edit.what == "put":
        holder[key] = _placed(edit.value, placeholders)
    elif edit.what == "wrap":
        holder[key] = [holder[key]]
    elif edit.what == "delete":
        del holder[key]
    elif isinstance(holder, list):
        holder.insert(key, copy.deepcopy(holder[key]))
    else:
        holder[f"{key}2"] = copy.deepcopy(holder[key])
    text = json.dumps(tree[0] if tree else None)
    for token, raw in placeholders.items():
        text = text.replace(f'"{token}"', raw)
    return text.encode()


def _found(tree: list[Any], path: tuple[int, ...]) -> tuple[Any, Any]:
    """Container and key; a path that leads beyond a leaf ends there."""
    holder: Any = tree
    key: Any = 0
    for step in path:
        inner = holder[key]
        if not isinstance(inner, list | dict) or not inner:
            break
        keys = list(inner) if isinstance(inner, dict) else range(len(inner))
        holder, key = inner, keys[step % len(inner)]
    return holder, key


def _placed(value: Any, placeholders: dict[str, str]) -> Any:
    if isinstance(value, Raw | Deep):
        token = f"placeholder {len(placeholders)}"
        placeholders[token] = value.text if isinstance(value, Raw) else "[" * value.depth + "]" * value.depth
        return token
    return copy.deepcopy(value)


def _edit_words(content: bytes, edit: Word) -> bytes:
    parts = re.split(rb"([^\s<>:,]+)", content)  # words at the odd places
    if len(parts) < 3:
        return edit.value.encode()
    parts[1 + 2 * (edit.number % (len(parts) // 2))] = edit.value.encode()
    return b"".join(parts)


def _edit_bytes(content: bytes, edit: Bytes) -> bytes:
    if not content:
        return edit.value
    at, value = edit.at % len(content), edit.value
    head, tail = content[:at], content[at:]
    done: dict[str, Callable[[], bytes]] = {
        "flip": lambda: head + bytes([tail[0] ^ (value[0] or 1)]) + tail[1:],
        "write": lambda: head + value + tail[len(value) :],
        "cut": lambda: head,
        "remove": lambda: head + tail[1 + value[0] :],
        "insert": lambda: head + value + tail,
        "move": lambda: head + content[value[0] : value[0] + 40] + tail,
    }
    changed = done[edit.what]()
    return _mended(changed) if edit.mend else changed


def _mended(content: bytes) -> bytes:
    """A PNG with the check sum of each chunk that is whole."""
    signature = b"\x89PNG\r\n\x1a\n"
    if not content.startswith(signature):
        return content
    at, parts = 8, [signature]
    while at + 12 <= len(content):
        (length,) = struct.unpack(">I", content[at : at + 4])
        if at + 12 + length > len(content):
            break
        body = content[at + 4 : at + 8 + length]
        parts += [content[at : at + 4], body, struct.pack(">I", zlib.crc32(body))]
        at += 12 + length
    return b"".join([*parts, content[at:]])
