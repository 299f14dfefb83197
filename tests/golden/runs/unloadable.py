import nothing_of_this_name

from smcdsl import potential


@potential(prefix="none")
def never(text: str) -> bool:
    """Cannot be called."""
    return bool(nothing_of_this_name.asked(text))
