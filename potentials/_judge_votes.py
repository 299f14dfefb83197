"""Verdicts of a model that thinks first: some are drawn, and the share of those that say yes is the score.

Each voter writes some tokens of its own, then its verdict is asked for in the same turn and drawn from the
two answers' probabilities. The numbers drawn come from a hash of all arguments and the voter's number, so
that the same call has the same value wherever and with whatever others it is made.

Source: Zhang et al. (2024), "Generative verifiers: reward modeling as next-token prediction", arXiv:2408.15240.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from smcdsl.potentials._judge_answers import Judge, Question

from smcdsl.errors import Diagnostic, UsageError

MOST_VOTES, MOST_TOKENS = 256, 4096
VOTERS_AT_ONCE = 64
"""Voters, of several texts if these have few, that write together; a bound on the model's cache."""
VERDICT = "\nVerdict:"
"""Stands between what a voter wrote and its verdict."""


@dataclass(frozen=True)
class Ballot:
    """How a vote is held: voters for each text, tokens that each may write, temperature, seed of what is drawn."""

    votes: int
    tokens: int
    temperature: float
    seed: int

    def __post_init__(self) -> None:
        for what, number, least, most in (
            ("votes", self.votes, 1, MOST_VOTES),
            ("tokens", self.tokens, 0, MOST_TOKENS),
        ):
            if not least <= number <= most:
                raise UsageError(Diagnostic("E0802", f"`{what}` is between {least} and {most:,}, not {number!r}"))


def shares(judge: Judge, question: Question, texts: Sequence[str], ballot: Ballot) -> list[float]:
    """The share of voters that answer the question with its positive word, for each text."""
    voters = [(text, voter) for text in texts for voter in range(ballot.votes)]
    verdicts: list[bool] = []
    for start in range(0, len(voters), VOTERS_AT_ONCE):
        verdicts += _verdicts(judge, question, voters[start : start + VOTERS_AT_ONCE], ballot)
    counts = np.array(verdicts).reshape(len(texts), ballot.votes).mean(axis=1)
    return [float(share) for share in counts]


def _verdicts(judge: Judge, question: Question, voters: Sequence[tuple[str, int]], ballot: Ballot) -> list[bool]:
    with judge.lock:
        judge.renew()
        after = thinking(question)
        prompts = [judge.prompt(question, text, after=after) for text, _ in voters]
        draws = [_draws(judge.model.name, question, text, ballot, voter) for text, voter in voters]
        thoughts = _think(judge, np.array(prompts, dtype=np.int64), draws, ballot)
        cue = judge.model.encode(VERDICT)
        wanted = np.array([judge.prefixes.extend(int(thought), cue) for thought in thoughts], dtype=np.int64)
        logits = judge.answer_logits(wanted, question) / ballot.temperature
    yes = 1.0 / (1.0 + np.exp(-np.clip(logits, -700, 700)))
    return [bool(draw.random() < chance) for draw, chance in zip(draws, yes)]


def thinking(question: Question) -> str:
    """What a prompt asks of a voter, after the text."""
    return f"\n\nThink about it in a few words, then give your verdict: {question.positive} or {question.negative}."


def _think(
    judge: Judge, prefixes: NDArray[np.int64], draws: Sequence[np.random.Generator], ballot: Ballot
) -> NDArray[np.int64]:
    """The prefixes with what each voter wrote; one that ends its turn, or writes a special token, is done."""
    spelled = judge.model.vocabulary.token_bytes
    writing = list(range(len(prefixes)))
    for _ in range(ballot.tokens):
        if not writing:
            break
        distinct, places = np.unique(prefixes[writing], return_inverse=True)
        logprobs = judge.logprobs(distinct)
        still = []
        for voter, place in zip(writing, places.tolist()):
            token = _drawn(logprobs[place], ballot.temperature, draws[voter].random())
            if spelled[token]:
                prefixes[voter] = judge.prefixes.extend(int(prefixes[voter]), [token])
                still.append(voter)
        writing = still
        judge.session.retain(prefixes)
    return prefixes


def _drawn(logprobs: NDArray[np.floating], temperature: float, uniform: float) -> int:
    """The token at a point of the distribution function."""
    scaled = np.asarray(logprobs, dtype=np.float64) / temperature
    cumulative = np.cumsum(np.exp(scaled - scaled.max()))
    # Rounding can carry the point past the last edge.
    return min(int(np.searchsorted(cumulative, uniform * cumulative[-1], side="right")), len(cumulative) - 1)


def _draws(model: str, question: Question, text: str, ballot: Ballot, voter: int) -> np.random.Generator:
    said = (model, question.question, question.positive, question.negative, text)
    key = json.dumps([*said, ballot.tokens, ballot.temperature, ballot.seed, voter])
    digest = hashlib.blake2b(key.encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))
