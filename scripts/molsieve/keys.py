"""Every key of a campaign file in words, read off the pydantic models.

Floor 0: pydantic and the standard library only. One reading of the models serves the error
messages (:mod:`molsieve.loading`), the table in ``config/README.md`` and its test, so none of them
can go stale (:mod:`molsieve.key_tables` writes it).
"""

from __future__ import annotations

import types
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from molsieve.section import Section

REQUIRED = object()
"""The default of a key that has none."""


@dataclass(frozen=True)
class Key:
    """One key of a campaign file."""

    path: str
    """YAML notation, ``stop.max_rounds``; ``<name>`` is the author's choice, ``[]`` any entry."""
    allowed: str
    default: Any
    """As the model has it, or ``REQUIRED``."""
    description: str
    annotation: Any
    only_with: str = ""
    """``engine: pyscf`` where the key exists in that variant of its section only."""


@dataclass(frozen=True)
class Place:
    """Where in a campaign file a mistake is: its path and what the models know about it."""

    path: str
    section: type[Section] | None
    """The section that holds (or should hold) the last key of the path."""
    annotation: Any
    """What the value may be; None for a key that does not exist."""
    description: str = ""


# ---------------------------------------------------------------- reading annotations


def bare(annotation: Any) -> tuple[Any, list[Any], bool]:
    """The type without ``Annotated`` and ``| None``, its constraints, whether it may be null."""
    constraints: list[Any] = []
    nullable = False
    while True:
        origin = get_origin(annotation)
        if origin is Annotated:
            annotation, *extras = get_args(annotation)
            for extra in extras:
                constraints += extra.metadata if isinstance(extra, FieldInfo) else [extra]
        elif origin in (Union, types.UnionType) and type(None) in get_args(annotation):
            rest = [a for a in get_args(annotation) if a is not type(None)]
            annotation, nullable = Union[tuple(rest)], True  # noqa: UP007 (built at run time)
        else:
            return annotation, constraints, nullable


def is_section(annotation: Any) -> bool:
    """Whether ``annotation`` is a section of the campaign file."""
    return isinstance(annotation, type) and issubclass(annotation, Section)


def variants(annotation: Any) -> dict[str, type[Section]]:
    """Sections by the value of the key that tells them apart; empty where there is no choice."""
    annotation = bare(annotation)[0]
    if get_origin(annotation) not in (Union, types.UnionType):
        return {}
    members = get_args(annotation)
    if not all(is_section(member) for member in members):
        return {}
    name = _tag(members[0])
    return {get_args(member.model_fields[name].annotation)[0]: member for member in members}


def discriminator(annotation: Any) -> str:
    """The key that tells the variants of a section apart (``engine``, ``kind``)."""
    return _tag(get_args(bare(annotation)[0])[0])


def _tag(section: type[Section]) -> str:
    for name, field in section.model_fields.items():
        if get_origin(field.annotation) is Literal and len(get_args(field.annotation)) == 1:
            return name
    raise TypeError(f"{section.__name__} has no key of one fixed value")


def field_annotation(field: FieldInfo) -> Any:
    """A field's annotation with its constraints put back."""
    return Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation


def choices(annotation: Any) -> list[str]:
    """The fixed values a key may take, if it takes fixed ones."""
    annotation = bare(annotation)[0]
    if get_origin(annotation) is Literal:
        return [str(value) for value in get_args(annotation)]
    return []


# ---------------------------------------------------------------- in words


def allowed(annotation: Any, plural: bool = False) -> str:
    """What a value may be, in plain words: ``a whole number, at least 1``."""
    kind, constraints, nullable = bare(annotation)
    words = _kind_in_words(kind, plural) + _bounds_in_words(constraints)
    return f"{words}, or null" if nullable else words


def _kind_in_words(kind: Any, plural: bool) -> str:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        values = [str(value) for value in arguments]
        return values[0] if len(values) == 1 else "one of " + ", ".join(values)
    if variants(kind):
        return f"a section with {discriminator(kind)}: " + " or ".join(variants(kind))
    if origin is list:
        return ("lists of " if plural else "a list of ") + allowed(arguments[0], plural=True)
    if origin is tuple:
        return f"a list of {len(arguments)} {allowed(arguments[0], plural=True)}"
    if origin is dict and get_origin(arguments[0]) is Literal:
        return "a section with entries among " + ", ".join(map(str, get_args(arguments[0])))
    if origin is dict:
        return "a section with a name of your own for each entry"
    if is_section(kind):
        keys = ", ".join(kind.model_fields)
        return f"sections with the keys {keys}" if plural else f"a section with the keys {keys}"
    return _SCALARS[kind][plural]


_SCALARS: dict[Any, tuple[str, str]] = {
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    bool: ("true or false", "true or false"),
    str: ("text", "texts"),
    Any: ("anything", "anything"),
}


def _bounds_in_words(constraints: list[Any]) -> str:
    bounds = {}
    for constraint in constraints:
        for name in ("ge", "gt", "le", "lt", "pattern", "min_length", "max_length"):
            if getattr(constraint, name, None) is not None:
                bounds[name] = getattr(constraint, name)
    if "ge" in bounds and "le" in bounds:
        return f" from {bounds['ge']:g} to {bounds['le']:g}"
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    parts = [f"{text} {bounds[name]:g}" for name, text in words.items() if name in bounds]
    if "min_length" in bounds:
        parts.append(f"at least {bounds['min_length']} of them")
    if "max_length" in bounds:
        parts.append(f"at most {bounds['max_length']} of them")
    return "".join(f", {part}" if i == 0 else f" and {part}" for i, part in enumerate(parts))


# ---------------------------------------------------------------- finding keys


def locate(model: type[Section], location: tuple[Any, ...]) -> Place:
    """The place that a pydantic error location names; tags of unions are no part of the path."""
    path, description = "", ""
    annotation: Any = model
    section: type[Section] | None = None
    for part in location:
        kind = bare(annotation)[0] if annotation is not None else None
        if annotation is not None and part in variants(kind):
            annotation = variants(kind)[part]
            continue
        if part == "[key]":
            annotation = str
            continue
        path += f"[{part}]" if isinstance(part, int) and not is_section(kind) else f".{part}"
        section, field, annotation = (kind if is_section(kind) else None), None, _inside(kind, part)
        if section is not None:
            field = section.model_fields.get(part)
        description = (field.description or "") if field else ""
    return Place(path.lstrip("."), section, annotation, description)


def _inside(kind: Any, part: Any) -> Any:
    """The annotation of ``kind[part]``; None where there is none."""
    if is_section(kind):
        field = kind.model_fields.get(part)
        return field_annotation(field) if field else None
    arguments = get_args(kind)
    if get_origin(kind) is dict:
        return arguments[1]
    if get_origin(kind) is list:
        return arguments[0]
    if get_origin(kind) is tuple and isinstance(part, int):
        return arguments[min(part, len(arguments) - 1)]
    return None


def leaves(value: Any, annotation: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Path, value and annotation of every scalar in a parsed file that the models know about."""
    kind = bare(annotation)[0]
    if options := variants(kind):
        tag = value.get(discriminator(kind)) if isinstance(value, Mapping) else None
        kind = options.get(tag) if isinstance(tag, str) else None
    if isinstance(value, Mapping):
        entries: Iterable[tuple[Any, Any, str]] = (
            (name, entry, f"{path}.{name}".lstrip(".")) for name, entry in value.items()
        )
    elif isinstance(value, list):
        entries = ((i, entry, f"{path}[{i}]") for i, entry in enumerate(value))
    else:
        yield path, value, annotation
        return
    for name, entry, below in entries:
        if (inner := _inside(kind, name)) is not None:
            yield from leaves(entry, inner, below)


def keys_of(section: type[Section], prefix: str = "", only_with: str = "") -> Iterator[Key]:
    """Every key in and below ``section``, in the order of the models."""
    for name, field in section.model_fields.items():
        annotation = field_annotation(field)
        default = REQUIRED if field.is_required() else field.get_default(call_default_factory=True)
        path = f"{prefix}{name}"
        yield Key(
            path, allowed(annotation), default, field.description or "", annotation, only_with
        )
        yield from _keys_below(annotation, path)


def _keys_below(annotation: Any, path: str) -> Iterator[Key]:
    kind = bare(annotation)[0]
    if is_section(kind):
        yield from keys_of(kind, f"{path}.")
    elif get_origin(kind) is list:
        yield from _keys_below(get_args(kind)[0], f"{path}[]")
    elif get_origin(kind) is dict:
        yield from _keys_below(get_args(kind)[1], f"{path}.<name>")
    else:
        for tag, variant in variants(kind).items():
            yield from keys_of(variant, f"{path}.", f"{discriminator(kind)}: {tag}")
