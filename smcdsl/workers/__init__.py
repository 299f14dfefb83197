"""Functions called with a time limit, in processes of their own or in a thread.

A worker process is told where the function is and loads it itself; only arguments and results are
pickled, over private pipes. A worker that runs past the limit is killed with all that it has started, and
replaced. Without `workers` a limited call runs in a thread, which is abandoned when time is up.
"""

from smcdsl.workers.calls import Outcome, ThreadRunner, attempt, quiet, raised_at, said
from smcdsl.workers.pool import Abandoned, Interest, ProcessPool
from smcdsl.workers.pools import WorkerPools
from smcdsl.workers.process import load_function

__all__ = [
    "Abandoned",
    "Interest",
    "Outcome",
    "ProcessPool",
    "ThreadRunner",
    "WorkerPools",
    "attempt",
    "load_function",
    "quiet",
    "raised_at",
    "said",
]
