"""Values in a document, of the types that rules expect, with their addresses."""

from collections.abc import Mapping, Sequence
from typing import Any

from daskome.model.json_values import JSONObject
from daskome.ome.rules.values import is_list


def key_address(where: str, key: str | int) -> str:
    """Return where a key of an object, or an item of a list, stands in a document."""
    return f"{where}/{key}" if where else str(key)


def shown_value(value: Any) -> str:
    """Return a value as messages show it: short, and without looking into what may be nested too deeply."""
    if isinstance(value, str):
        return repr(value) if len(value) <= 60 else f"{value[:57]!r}…"
    if isinstance(value, Mapping):
        return "an object" if value else "an empty object"
    if is_list(value):
        return f"a list of {len(value)}" if value else "an empty list"
    if isinstance(value, bool | None):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int) and value.bit_length() > 64:
        return "an integer of more than 64 bits"
    return (
        f"{value!r}" if isinstance(value, int | float) else f"of type {type(value).__name__}, which JSON does not have"
    )


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
