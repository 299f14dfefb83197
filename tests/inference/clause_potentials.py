"""The potentials of instances with clauses, in a file of their own for worker processes."""


def score(q: str) -> float:
    return (0.2 + q.count("a")) ** 2 * (2.5 if "cc" in q else 0.4)


def fits(q: str) -> bool:
    return "b;b" not in q and not q.startswith("c;")
