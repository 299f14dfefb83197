"""What factors promise: which noes to unfinished text are final, and which judgements worker processes make."""

from __future__ import annotations

from smcdsl.program.evaluation import function_calls
from smcdsl.program.expressions import Binary, Expression, FunctionCall, Inlined


def refuses_for_good(expression: Expression) -> bool:
    """Whether the expression can say of a prefix, for certain, that no completion of it is accepted.

    That is a yes or no of pure potentials that judge prefixes, joined by `and` and `or`.
    """
    return is_pure(expression) and _may_refuse(expression)


def judged_by_workers(expression: Expression) -> bool:
    """Whether processes of their own do some of the judging, with the same answer to everybody."""
    return is_pure(expression) and any(call.signature.facts.workers for call in function_calls(expression))


def is_pure(expression: Expression) -> bool:
    """Whether equal arguments give equal values (language reference, 2.2.7)."""
    return all(call.signature.facts.pure for call in function_calls(expression))


def _may_refuse(expression: Expression) -> bool:
    match expression:
        case Binary(operator="and", left=left, right=right):
            return _may_refuse(left) or _may_refuse(right)
        case Binary(operator="or", left=left, right=right):
            return _may_refuse(left) and _may_refuse(right)
        case Inlined(body=body):
            return _may_refuse(body)
        case FunctionCall(signature=signature):
            return signature.is_potential and signature.facts.prefix != "none" and signature.result.name == "bool"
    return False
