"""Campaign files in, validated campaigns out; every mistake told in one screen of plain words.

Floor 0: pydantic and the standard library only at import (PyYAML when a file is read), because
every job of a campaign parses its campaign. What needs chemistry is in :mod:`molsieve.checks`.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from molsieve import keys
from molsieve.campaign import Campaign, campaign_model, domain_names
from molsieve.keys import Place
from molsieve.section import CampaignError

MISTAKES_SHOWN = 10
"""More than this would not fit on one screen."""
MOVED = {
    "acquisition.attack": "acquisition.geometries.attack; its share and starts are now "
    "acquisition.geometries.share and acquisition.geometries.starts",
}
"""Keys of earlier versions, and where they went."""


def load_campaign(path: str | Path) -> Campaign:
    """The campaign of a YAML file.

    Raises:
        CampaignError: the file cannot be read, is no YAML, says a key twice, or has any mistake.
    """
    return load_mapping(read_yaml(path), str(path))


def load_mapping(mapping: Mapping[str, Any], source: str = "the campaign file") -> Campaign:
    """The campaign of a mapping (a parsed YAML file), defaults filled in.

    Args:
        mapping: as a YAML parser gives it.
        source: how the error message names where ``mapping`` came from.

    Raises:
        CampaignError: every mistake at once: key, value, what is allowed, nearest key or value.
    """
    if not isinstance(mapping, Mapping):
        raise CampaignError(f"{source}: sections such as campaign: and levels: are expected")
    model = campaign_model(_domain(mapping, source))
    mistakes = _truths_for_numbers(mapping, model)
    try:
        campaign = model.model_validate(mapping)
    except ValidationError as error:
        mistakes += _mistakes(error, model)
    if mistakes:
        raise CampaignError(screen(list(dict.fromkeys(mistakes)), source))
    return campaign


def resolved(campaign: Campaign) -> dict[str, Any]:
    """The campaign as plain JSON values, every default written out."""
    return campaign.model_dump(mode="json")


def json_schema() -> dict[str, Any]:
    """The JSON schema of campaign files for editors: one branch a domain."""
    names = domain_names()
    branches = {
        name: campaign_model(name).model_json_schema(ref_template=f"#/$defs/{name}/$defs/{{model}}")
        for name in names
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Molsieve campaign",
        "type": "object",
        "required": ["domain"],
        "properties": {"domain": {"enum": names}},
        "allOf": [
            {
                "if": {"properties": {"domain": {"const": name}}, "required": ["domain"]},
                "then": {"$ref": f"#/$defs/{name}"},
            }
            for name in names
        ],
        "$defs": branches,
    }


# ---------------------------------------------------------------- YAML


def read_yaml(path: str | Path) -> dict[str, Any]:
    """The mapping that a YAML file holds; safe loading, a key said twice is an error.

    Raises:
        CampaignError: unreadable, empty, not YAML (with the line), not a mapping, a repeated key.
    """
    import yaml  # here: a job that gets its campaign from Snakemake need not pay for it

    try:
        text = Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise CampaignError(f"{path}: not a text file (UTF-8 is expected)") from None
    except OSError as error:
        raise CampaignError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        loader = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            _refuse_repeated_keys(node, path)
            content = loader.construct_document(node) if node is not None else None
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        reason = error.problem or error.context or "it cannot be parsed"
        raise CampaignError(f"{path}: {line}not valid YAML: {reason}") from None
    except CampaignError:
        raise  # already in words, though a ValueError
    except (yaml.YAMLError, ValueError) as error:
        raise CampaignError(f"{path}: not valid YAML: {error}") from None
    if content is None:
        raise CampaignError(
            f"{path}: the file is empty; a campaign starts with campaign: and domain:"
        )
    if not isinstance(content, dict):
        raise CampaignError(
            f"{path}: holds {shown(content)}, not sections such as campaign: and levels:"
        )
    return content


def _refuse_repeated_keys(
    node: Any, source: str | Path, path: str = "", seen: set[int] | None = None
) -> None:
    """PyYAML keeps the last of two equal keys silently; here that is a mistake."""
    seen = set() if seen is None else seen
    if node is None or node.id == "scalar" or id(node) in seen:
        return
    seen.add(id(node))  # an alias is the same node again, perhaps inside itself
    if node.id == "sequence":
        for i, item in enumerate(node.value):
            _refuse_repeated_keys(item, source, f"{path}[{i}]", seen)
        return
    lines: dict[str, int] = {}
    for key, value in node.value:
        name = str(key.value)
        line = key.start_mark.line + 1
        where = f"{path}.{name}".lstrip(".")
        if name in lines:
            raise CampaignError(
                f"{source}: {where}: is there twice, lines {lines[name]} and {line}; keep one"
            )
        lines[name] = line
        _refuse_repeated_keys(value, source, where, seen)


# ---------------------------------------------------------------- mistakes in words


def _domain(mapping: Mapping[str, Any], source: str) -> str:
    """The domain's name, checked before anything else: it decides which keys exist."""
    names = domain_names()
    if "domain" not in mapping:
        typo = _nearest("domain", [str(key) for key in mapping])
        hint = f" (is {typo}: meant to be it?)" if typo else ""
        raise CampaignError(
            f"{source}: domain: is missing{hint}; it says what is searched; "
            f"allowed: {_one_of(names)}"
        )
    value = mapping["domain"]
    if value not in names:
        raise CampaignError(screen([f"domain: {wrong_choice(value, names)}"], source))
    return str(value)


def _truths_for_numbers(mapping: Mapping[str, Any], model: type[Campaign]) -> list[str]:
    """YAML reads yes, no, on and off as true and false, which Python would count as 1 and 0."""
    return [
        f"{path}: {shown(value)} given; allowed: {keys.allowed(annotation)}"
        for path, value, annotation in keys.leaves(mapping, model)
        if isinstance(value, bool) and keys.bare(annotation)[0] in (int, float)
    ]


def _mistakes(error: ValidationError, model: type[Campaign]) -> list[str]:
    """One line a mistake, in the order of the file; missing keys together at the end."""
    lines: dict[str, str] = {}
    missing: list[Place] = []
    explained: set[str] = set()
    for item in error.errors(include_url=False):
        place = keys.locate(model, item["loc"])
        if item["type"] == "missing":
            missing.append(place)
        elif item["type"] == "extra_forbidden":
            text, meant = _unknown_key(place, item["input"], model)
            explained.add(meant)
            lines.setdefault(place.path, text)
        else:
            lines.setdefault(*_wrong_value(place, item))
    found = [f"{path}: {text}" if path else text for path, text in lines.items()]
    # A misspelt key is also missing under its right name: said once is enough.
    return found + [_missing_key(place) for place in missing if place.path not in explained]


def screen(mistakes: list[str], source: str) -> str:
    """Mistakes as one message that fits a screen."""
    count = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
    shown = mistakes[:MISTAKES_SHOWN]
    if len(mistakes) > len(shown):
        shown.append(f"and {len(mistakes) - len(shown)} more")
    return "\n".join([f"{source}: {count}; nothing was started", *(f"  {line}" for line in shown)])


def _missing_key(place: Place) -> str:
    means = f": {place.description}" if place.description else ""
    return f"{place.path}: missing{means}; allowed: {keys.allowed(place.annotation)}"


def _unknown_key(place: Place, value: Any, model: type[Campaign]) -> tuple[str, str]:
    """The text of an unknown key, and the path of the key it was probably meant to be."""
    parent, _, name = place.path.rpartition(".")
    known = list(place.section.model_fields) if place.section else []
    text = f"unknown key (value: {shown(value)})"
    if place.path in MOVED:
        return f"{text}; moved to {MOVED[place.path]}", ""
    near = _nearest(name, known)
    if near:
        return f"{text}; did you mean {near}?", f"{parent}.{near}".lstrip(".")
    elsewhere = [key.path for key in keys.keys_of(model) if key.path.split(".")[-1] == name]
    where = f"here: {', '.join(known)}"
    if elsewhere:
        where = f"it exists as {' and '.join(dict.fromkeys(elsewhere))}; {where}"
    return f"{text}; {where}", ""


def _wrong_value(place: Place, item: Mapping[str, Any]) -> tuple[str, str]:
    """Path and text of a value that is not allowed."""
    kind, value = item["type"], item["input"]
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        tag, variants = keys.discriminator(place.annotation), list(keys.variants(place.annotation))
        path = f"{place.path}.{tag}"
        if kind == "union_tag_not_found" or tag not in value:
            return path, f"missing; allowed: {_one_of(variants)}"
        return path, wrong_choice(value[tag], variants)
    if kind == "value_error":
        return _own_words(place, str(item["ctx"]["error"]))
    if kind == "invalid_key":
        return place.path, "keys are texts; put quotes around it"
    values = keys.choices(place.annotation)
    if values and value is not None:
        return place.path, wrong_choice(value, values)
    if kind == "string_pattern_mismatch" and place.description:
        return place.path, f"{shown(value)} given; allowed: {place.description}"
    given = "nothing given" if value is None else f"{shown(value)} given"
    words = keys.allowed(place.annotation) if place.annotation is not None else item["msg"]
    if keys.bare(place.annotation)[0] is str and isinstance(value, int | float):
        words += ' (in "quotes", or YAML takes it for something else)'
    return place.path, f"{given}; allowed: {words}"


def _own_words(place: Place, message: str) -> tuple[str, str]:
    """A validator's own message; one that opens with a key of its section extends the path."""
    head, colon, rest = message.partition(": ")
    kind = keys.bare(place.annotation)[0]
    if colon and keys.is_section(kind) and head.split(".")[0] in kind.model_fields:
        return f"{place.path}.{head}".lstrip("."), rest
    return place.path, message


def wrong_choice(value: Any, values: list[str]) -> str:
    """Given, allowed, and the nearest of ``values``."""
    text = f"{shown(value)} given; allowed: {_one_of(values)}"
    near = _nearest(str(value), values)
    return f"{text}; did you mean {near}?" if near else text


def _one_of(values: Iterable[str]) -> str:
    values = list(values)
    return values[0] if len(values) == 1 else "one of " + ", ".join(values)


def _nearest(name: str, known: list[str]) -> str | None:
    """The known name that ``name`` is probably a typo of; letter case and - for _ forgiven."""
    plain = {other.lower().replace("-", "_"): other for other in known}
    found = difflib.get_close_matches(str(name).lower().replace("-", "_"), plain, 1, cutoff=0.7)
    return plain[found[0]] if found else None


def shown(value: Any) -> str:
    """A value as the author wrote it, cut to what fits on a line."""
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
    except (TypeError, ValueError):
        text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
