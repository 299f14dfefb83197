from smcdsl.protocols import potential

COST = "40ms"


@potential(cost=COST, prefix="sometimes")
def judge(text: str) -> bool:
    return True
