"""References: arguments that an earlier call of the same run returned, such as the id of what was just made.

Layer: app. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from carapax.core.terms.error import NotFound


def resolve_refs(value: Any, returned: Mapping[str, Any]) -> Any:
    """The value with every `{"$from": KEY, "at": PATH}` replaced. Raises NotFound for a call that did not run."""
    if isinstance(value, Mapping):
        if "$from" in value:
            return _look(value, returned)
        return {key: resolve_refs(item, returned) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [resolve_refs(item, returned) for item in value]
    return value


def named_refs(value: Any) -> frozenset[str]:
    """The keys of the calls that a value refers to."""
    if isinstance(value, Mapping):
        if "$from" in value:
            return frozenset({str(value["$from"])})
        return frozenset().union(*(named_refs(item) for item in value.values()))
    if isinstance(value, list | tuple):
        return frozenset().union(*(named_refs(item) for item in value))
    return frozenset()


def _look(ref: Mapping[str, Any], returned: Mapping[str, Any]) -> Any:
    key, path = str(ref["$from"]), str(ref.get("at", ""))
    if key not in returned:
        raise NotFound(f"the call {key} did not run, so nothing can be taken from it")
    found = returned[key]
    for part in filter(None, path.split(".")):
        try:
            found = found[int(part)] if isinstance(found, list | tuple) else found[part]
        except (KeyError, IndexError, ValueError, TypeError) as error:
            raise NotFound(f"the call {key} returned nothing at {path!r}") from error
    return found
