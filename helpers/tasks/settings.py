"""Settings of a task from its `settings.yaml`: defaults, groups that variants share, and what a profile changes."""

from __future__ import annotations

from typing import Any


def merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """`base` with the values of `over`, blocks merged key by key."""
    found = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(found.get(key), dict)
        found[key] = merged(found[key], value) if both else value
    return found


def settings_of(document: dict[str, Any], profile: str) -> dict[str, Any]:
    """Every setting with its default in a profile; those of a variant bear its name (`lora.epochs`).

    A variant has the settings of the groups it is `like`, in their order, and then its own; a block under `profiles` may
    change settings, groups and variants.
    """
    whole = merged(document, document.get("profiles", {}).get(profile) or {})
    found = {"variants": ",".join(whole.get("variants", {})), **whole.get("settings", {})}
    for name, variant in whole.get("variants", {}).items():
        own: dict[str, Any] = {}
        for group in variant.get("like", ()):
            own |= whole["groups"][group]
        own |= variant.get("settings", {})
        found |= {f"{name}.{key}": value for key, value in own.items()}
    return found
