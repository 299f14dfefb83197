from smcdsl import potential


@potential(prefix="any", prefix_form="so_far", explanation="why")
def judge(text: str) -> bool:
    return text != ""


@potential(prefix_form=3, prefx="any")
def other(text: str) -> bool:
    return True


def so_fare(text: str) -> bool:
    return True
