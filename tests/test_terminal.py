"""Watching: each look over the one before on a terminal, one below the other elsewhere."""

from __future__ import annotations

import io

from molsieve.terminal import CLEAR, watch


class Screen(io.StringIO):
    """A terminal in memory."""

    def isatty(self) -> bool:
        return True


def interrupted_after(looks: int):
    """A text that says how often it was asked for, until Ctrl-C."""
    left = iter(range(looks))

    def text() -> str:
        number = next(left, None)
        if number is None:
            raise KeyboardInterrupt
        return f"look {number}"

    return text


def test_a_terminal_is_drawn_again_and_a_file_keeps_all():
    screen, file = Screen(), io.StringIO()
    assert watch(interrupted_after(3), 0.001, screen) == ""
    assert watch(interrupted_after(3), 0.001, file) == ""
    assert screen.getvalue().count(CLEAR + "look") == 3
    assert [x for x in file.getvalue().splitlines() if x.startswith("look")] == [
        "look 0",
        "look 1",
        "look 2",
    ]
