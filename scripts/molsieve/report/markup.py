"""Pieces of HTML that every section is made of; all text that comes in is escaped here."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

MISSING = "–"


class Html(str):
    """Text that is HTML already: a cell that holds it is not escaped."""


def number(value: Any, digits: int = 3) -> str:
    """A number with ``digits`` decimals and a true minus sign; a dash where there is none."""
    if is_missing(value):
        return MISSING
    text = f"{float(value):.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", "−")


def signed(value: Any, digits: int = 3) -> str:
    """A difference, its sign always shown."""
    text = number(value, digits)
    return f"+{text}" if text[0].isdigit() and not is_missing(value) and value > 0 else text


def plus_minus(value: Any, error: Any, digits: int = 3) -> str:
    """``value ± error``, the error left out where there is none."""
    if is_missing(error):
        return number(value, digits)
    return f"{number(value, digits)} ± {number(error, digits)}"


def interval_text(interval: Any, digits: int = 3) -> str:
    """``[low, high]`` of a two-element interval."""
    if interval is None or is_missing(interval) or len(interval) != 2:
        return MISSING
    return f"[{number(interval[0], digits)}, {number(interval[1], digits)}]"


def is_missing(value: Any) -> bool:
    """True of None, NaN and pandas' NA; never of a sequence."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float) and math.isnan(value)


def over(text: str, unit: str) -> str:
    """A heading or an axis with its unit; a quantity without one has none."""
    return text if unit == "1" else f"{text} / {unit}"


def words(name: str) -> str:
    """A column's or setting's name as words."""
    return name.replace("_", " ")


def figure_name(key: str) -> str:
    """A key of figures in words: ``labels_ok_total``, ``random_test_mae``, ``loo_mae_v``.

    A unit at the end is left to the value.
    """
    for ending in ("_total", "_v", "_ev", "_ev_per_t"):
        key = key.removesuffix(ending)
    known = {"h2": "H₂", "mae": "MAE", "rmse": "RMSE", "loo": "leave-one-out", "max": "largest"}
    return " ".join(known.get(word, word) for word in words(key.removeprefix("n_")).split())


def section(name: str, title: str, *parts: str) -> str:
    """A section of the page with its anchor."""
    body = "\n".join(p for p in parts if p)
    return f'<section id="{escape(name)}">\n<h2>{escape(title)}</h2>\n{body}\n</section>'


def paragraph(text: str) -> str:
    """Escaped text as a paragraph."""
    return f"<p>{escape(text)}</p>"


def beside(*parts: str) -> str:
    """Parts side by side where the page is wide enough; empty ones left out."""
    return f'<div class="beside">{"".join(f"<div>{p}</div>" for p in parts if p)}</div>'


def warning(text: str) -> str:
    """A sentence that must be seen before what follows is believed."""
    return f'<p class="warning">{escape(text)}</p>'


def nothing(text: str) -> str:
    """What stands where a figure or table would, were there anything to show."""
    return f'<p class="nothing">{escape(text)}</p>'


def figure(drawing: str, caption: str) -> str:
    """A drawing and the caption that says what it shows, of how many."""
    return f"<figure>{drawing}<figcaption>{escape(caption)}</figcaption></figure>"


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    caption: str = "",
    texts: Sequence[str] = (),
) -> str:
    """A table sorted by a click on a heading.

    Cells are strings; a cell given as ``(text, sort value)`` sorts by the value. Columns named in
    ``texts`` are set left, all others right as numbers are.
    """
    head = "".join(
        f'<th scope="col"{_side(c, texts)}><button type="button">{escape(c)}</button></th>'
        for c in columns
    )
    body = "".join(
        "<tr>"
        + "".join(_cell(cell, column, texts) for cell, column in zip(row, columns, strict=True))
        + "</tr>"
        for row in rows
    )
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    return (
        f'<div class="scroll"><table>{title}<thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _side(column: str, texts: Sequence[str]) -> str:
    if column in texts:
        return ' class="text smiles"' if column == "candidate" else ' class="text"'
    return ""


def _cell(cell: Any, column: str, texts: Sequence[str]) -> str:
    text, value = cell if isinstance(cell, tuple) else (cell, None)
    sort = "" if is_missing(value) else f' data-sort="{escape(str(value))}"'
    shown = text if isinstance(text, Html) else escape(str(text))
    return f"<td{_side(column, texts)}{sort}>{shown}</td>"


def count_bars(counts: Sequence[tuple[str, int]]) -> str:
    """Counts as a list of labelled bars, longest = the largest count."""
    largest = max((n for _, n in counts), default=0) or 1
    rows = "".join(
        f'<div class="bar-name">{escape(name)}</div><div class="bar-track">'
        f'<div class="bar" style="width:{100 * n / largest:.1f}%"></div></div>'
        f'<div class="bar-count">{n:,}</div>'
        for name, n in counts
    )
    return f'<div class="bars">{rows}</div>'
