"""Run every benchmark and write one table: benchmarks/results/table.md.

Each script also runs alone; its last line is ``claim: … | ours: … | peer: … | ratio: …``.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
FIELDS = ("claim", "ours", "peer", "ratio")


def fields_of(line: str) -> dict[str, str]:
    """The fields of a benchmark's last line; an unreadable line becomes the claim itself."""
    parts = dict(part.split(":", 1) for part in line.split(" | ") if ":" in part)
    found = {key.strip(): value.strip() for key, value in parts.items()}
    return found if "claim" in found else {"claim": line}


def run(script: Path) -> dict[str, str]:
    """Run one benchmark, its output on this terminal, and return its last line's fields."""
    print(f"\n== {script.name}", flush=True)
    process = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    last = ""
    for line in process.stdout:
        print(line, end="", flush=True)
        last = line.strip() or last
    if process.wait():
        return {"claim": f"{script.name} failed with exit code {process.returncode}"}
    return fields_of(last)


def main() -> int:
    """Run all, write the table, and fail if one failed."""
    scripts = sorted(p for p in FOLDER.glob("*.py") if p.name != Path(__file__).name)
    results = [(script.name, run(script)) for script in scripts]
    rows = [
        "| benchmark | " + " | ".join(FIELDS) + " |",
        "|---" * (len(FIELDS) + 1) + "|",
        *(
            f"| `{name}` | " + " | ".join(found.get(field, "") for field in FIELDS) + " |"
            for name, found in results
        ),
    ]
    table = FOLDER / "results" / "table.md"
    table.parent.mkdir(exist_ok=True)
    table.write_text("\n".join(rows) + "\n")
    print("\n" + table.read_text())
    return int(any("failed with" in found["claim"] for _, found in results))


if __name__ == "__main__":
    sys.exit(main())
