"""To how many digits our optimizers agree with Keras', optax' and PyTorch's.

    python benchmarks/optimizer_agreement.py --markdown docs/optimizers.md

prints the table, and with `--markdown FILE` writes it between the marks of a
page; `--check FILE` exits with 1 if the page has another one. The largest
difference over 20 steps in float64, relative to the largest value, decides.
"""

import argparse
import math
import os
import re
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"

import jax
import numpy as np
from optimizer_counterparts import FAMILIES

MARKS = "<!-- optimizer_agreement.py --markdown -->", "<!-- end -->"
LIBRARIES = ("Keras", "optax", "torch", "SciPy")


def cell(path, counterpart):
    """Returns a cell of the table."""
    if counterpart is None:
        return "-"
    name, theirs = counterpart
    if path is None or theirs is None:
        return f"`{name}`: other draws"
    shared = min(len(path), len(theirs))
    path, theirs = np.array(path[:shared]), np.array(theirs[:shared])
    difference = np.max(np.abs(path - theirs)) / np.max(np.abs(theirs))
    digits = 16 if difference == 0 else math.floor(-math.log10(difference))
    # Rounding differs from machine to machine: as many as are sure.
    if digits > 6:
        digits = 12 if digits >= 12 else 6
    return f"`{name}`: " + (str(digits) if digits > 0 else "other steps")


def table():
    """Returns the table in Markdown."""
    jax.config.update("jax_enable_x64", True)
    lines = ["| ours | " + " | ".join(LIBRARIES) + " |"]
    lines.append("| --- " * (1 + len(LIBRARIES)) + "|")
    for family in FAMILIES:
        for name, path, others in family():
            cells = [cell(path, others.get(library)) for library in LIBRARIES]
            lines.append(f"| `{name}` | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--markdown", type=Path, metavar="FILE")
    parser.add_argument("--check", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    found = table()
    print(found)
    page = arguments.markdown or arguments.check
    if page is None:
        return
    text = page.read_text()
    between = re.compile("\n.*?".join(map(re.escape, MARKS)), re.DOTALL)
    new = between.sub(lambda _: f"{MARKS[0]}\n{found}\n{MARKS[1]}", text)
    if arguments.markdown:
        page.write_text(new)
    elif not between.search(text) or new != text:
        sys.exit(f"{page} has another table")


if __name__ == "__main__":
    main()
