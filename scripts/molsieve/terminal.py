"""Tables on a terminal: ruled and coloured there, plain aligned text where output is piped."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TextIO

import rich.box
import rich.console
import rich.markup
import rich.table

CLEAR = "\x1b[H\x1b[2J\x1b[3J"
"""Cursor home, screen and scroll-back cleared."""


@dataclass
class Table:
    """A title, column names and rows of text; the first column is set left, numbers right."""

    title: str
    columns: list[str]
    rows: list[list[str]] = field(default_factory=list)


def render(tables: list[Table], terminal: bool, width: int = 100) -> str:
    """The tables one below the other."""
    file = io.StringIO()
    console = rich.console.Console(
        file=file, force_terminal=terminal, no_color=not terminal, width=width, highlight=False
    )
    for table in tables:
        drawn = rich.table.Table(
            title=table.title,
            title_justify="left",
            title_style="bold",
            box=rich.box.SIMPLE_HEAD if terminal else None,
            padding=(0, 1) if terminal else (0, 1, 0, 2),
        )
        for column in table.columns:
            number = all(_is_number(row[table.columns.index(column)]) for row in table.rows)
            drawn.add_column(column, justify="right" if number and table.rows else "left")
        for row in table.rows:
            drawn.add_row(*(rich.markup.escape(cell) for cell in row))
        console.print(drawn)
        console.print()
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines())


def _is_number(text: str) -> bool:
    return text in ("", "–") or text[0] in "0123456789-−<"


def watch(text: Callable[[], str], seconds: float, stream: TextIO) -> str:
    """Write ``text()`` every ``seconds`` s until Ctrl-C; on a terminal each over the one before.

    Returns:
        "" when it was interrupted, or nobody reads any more.
    """
    try:
        while True:
            shown = text()
            head = CLEAR if stream.isatty() else ""
            now = time.strftime("%H:%M:%S")
            print(f"{head}{shown}\n\n  {now}, again in {seconds:g} s (Ctrl-C ends)", file=stream)
            stream.flush()
            time.sleep(seconds)
    except KeyboardInterrupt:
        return ""
    except BrokenPipeError:
        return ""
