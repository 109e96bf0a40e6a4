"""Make the table of docs/reliability.md: every attack and fault that is tried on skcnn, and what came of it.

    python benchmarks/reliability.py [--write]

It runs ``hostile_images.py``, ``hostile_files.py``, ``hostile_disks.py`` and ``hostile_requests.py``, prints their rows
as one table, and with ``--write`` puts the table into the page. It exits with 1 if anything was not as documented.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "reliability.md"
SCRIPTS = ("hostile_images.py", "hostile_files.py", "hostile_disks.py", "hostile_requests.py")
HEADER = "| attack or fault | tried | result | peak of memory |\n|---|---|---|---|\n"
MARKS = "<!-- table of benchmarks/reliability.py -->\n", "<!-- end of the table -->\n"


def rows_of(script: str) -> tuple[list[str], bool]:
    """Run a script; return the rows that it printed, each with four cells, and whether all was as documented."""
    done = subprocess.run([sys.executable, HERE / script], stdout=subprocess.PIPE, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("| ")][1:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return ["| " + " | ".join([*row, ""][:4]) + " |" for row in cells], bool(lines) and done.returncode == 0


def main(arguments: list[str] | None = None) -> int:
    """Print the table, and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="put the table into docs/reliability.md")
    options = parser.parse_args(arguments)
    measured = [rows_of(script) for script in SCRIPTS]
    table = HEADER + "\n".join(row for rows, _ in measured for row in rows) + "\n"
    print(table)
    if options.write:
        begin, end = MARKS
        page = re.sub(f"(?s){re.escape(begin)}.*{re.escape(end)}", lambda _: begin + table + end, PAGE.read_text())
        PAGE.write_text(page)
    return int(not all(is_right for _, is_right in measured))


if __name__ == "__main__":
    sys.exit(main())
