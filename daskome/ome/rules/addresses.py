"""Values in a document, of the types that rules expect, with their addresses."""

from collections.abc import Mapping, Sequence
from typing import Any

from daskome.model.json_values import JSONObject


def key_address(where: str, key: str | int) -> str:
    """Return where a key of an object, or an item of a list, stands in a document."""
    return f"{where}/{key}" if where else str(key)


def type_of(value: JSONObject) -> str:
    """Return the type that an object says it has, "" for none."""
    kind = value.get("type")
    return kind if isinstance(kind, str) else ""


def items_of(value: JSONObject, key: str) -> Sequence[Any]:
    """Return the list under a key; empty if there is none."""
    items = value.get(key)
    return items if isinstance(items, list | tuple) else ()


def objects_of(value: JSONObject, key: str, where: str = "") -> list[tuple[str, JSONObject]]:
    """Return the objects of a list, with their addresses."""
    items = enumerate(items_of(value, key))
    return [(f"{key_address(where, key)}/{i}", item) for i, item in items if isinstance(item, Mapping)]


def texts_of(value: JSONObject, items: str, key: str) -> list[str]:
    """Return the strings under a key of each object in a list."""
    return [item[key] for _, item in objects_of(value, items) if isinstance(item.get(key), str)]
