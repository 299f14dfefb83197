"""Judgements of this project. `smcdsl check` reads this file and does not run it."""

import re

from smcdsl import Weight, potential


@potential(cost="10us")
def is_total(amount: float, text: str) -> Weight:
    """1 if the amount stands in a line that says total, 0.001 if it stands elsewhere or not at all."""
    lines = [line for line in text.splitlines() if "total" in line.lower()]
    amounts = [float(found) for line in lines for found in re.findall(r"\d+\.\d\d", line)]
    return 1.0 if amount in amounts else 0.001
