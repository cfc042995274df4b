"""The tables of keys in ``config/README.md`` and the JSON schema for editors, from the models.

``python -m molsieve.key_tables`` in the repository's root rewrites both; a test keeps them in step.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from molsieve import campaign, loading
from molsieve.campaign import campaign_model, domain_names
from molsieve.keys import REQUIRED, Key, bare, is_section, keys_of, variants
from molsieve.section import Section

README = Path("config/README.md")
SCHEMA = Path("workflow/schemas/campaign.schema.json")
BEGIN = "<!-- keys: written by python -m molsieve.key_tables -->"
END = "<!-- end of keys -->"


def key_tables() -> str:
    """Markdown: every key that all campaigns share, then each domain's own."""
    shared = list(keys_of(campaign.Campaign))
    parts = ["## Keys of every campaign", *_chapters(shared)]
    for domain in domain_names():
        own = _own(list(keys_of(campaign_model(domain))), {key.path for key in shared})
        parts += [f"## Keys of `domain: {domain}`", *_chapters(own)]
    return "\n\n".join(parts)


def with_tables(readme: str) -> str:
    """``readme`` with what is between its two marks replaced by :func:`key_tables`.

    Raises:
        ValueError: a mark is missing.
    """
    head, begin, rest = readme.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the marks {BEGIN!r} and {END!r} are missing")
    return f"{head}{BEGIN}\n\n{key_tables()}\n\n{END}{tail}"


def schema_text() -> str:
    """:func:`molsieve.loading.json_schema` as the file holds it."""
    return json.dumps(loading.json_schema(), indent=1, ensure_ascii=False) + "\n"


def _own(keys: list[Key], shared: set[str]) -> list[Key]:
    """A domain's keys that not all campaigns have, below the section that they are in."""
    added = [key for key in keys if key.path not in shared]
    sections = {_top(key) for key in added}
    return [key for key in keys if key in added or key.path in sections]


def _chapters(keys: list[Key]) -> list[str]:
    """One table for the plain keys, then a heading and a table for each section."""
    keys = _merged(keys)
    names = dict.fromkeys(_top(key) for key in keys)
    chapters = {name: [key for key in keys if _top(key) == name] for name in names}
    plain = [own[0] for own in chapters.values() if len(own) == 1]
    parts = [_table(plain)] if plain else []
    for name, own in chapters.items():
        if len(own) > 1:
            need = " Required." if own[0].default is REQUIRED else ""
            text = own[0].description[:1].upper() + own[0].description[1:]
            parts += [f"### {name}", f"{text}.{need}", _table(own[1:])]
    return parts


def _top(key: Key) -> str:
    return key.path.partition(".")[0].partition("[")[0]


def _merged(keys: list[Key]) -> list[Key]:
    """Keys that several variants of a section share, once: no variant's own."""
    merged: dict[tuple[str, str], Key] = {}
    for key in keys:
        same = (key.path, key.description)
        if same in merged:
            key = _shared(merged[same], key)
        merged[same] = key
    return list(merged.values())


def _shared(first: Key, second: Key) -> Key:
    allowed = first.allowed
    if second.allowed != allowed:
        allowed = f"{allowed} or {second.allowed}"
    return Key(
        first.path, allowed, first.default, first.description, first.annotation, only_with=""
    )


def _table(keys: list[Key]) -> str:
    rows = ["| key | allowed | default | what it does |", "|---|---|---|---|"]
    for key in keys:
        meaning = f"({key.only_with}) {key.description}" if key.only_with else key.description
        meaning = meaning.replace("<", "&lt;")
        cells = (f"`{key.path}`", _allowed(key), _default(key), meaning)
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows)


def _allowed(key: Key) -> str:
    """Sections are listed key by key, so their keys need not be named twice."""
    kind = bare(key.annotation)[0]
    return "a section" if is_section(kind) and not variants(kind) else key.allowed


def _default(key: Key) -> str:
    value: Any = key.default
    if value is REQUIRED:
        return "required"
    if isinstance(value, Section):
        return "as below"
    return f"`{json.dumps(value, ensure_ascii=False)}`"


if __name__ == "__main__":
    README.write_text(with_tables(README.read_text()))
    SCHEMA.write_text(schema_text())
