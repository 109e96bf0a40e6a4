"""Attacks, counted: what was tried, what came of it, whether a program was started, and the peak of memory."""

from __future__ import annotations

import multiprocessing
import resource
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

#: Events of Python's audit that start a program.
_STARTS = frozenset({"subprocess.Popen", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.system", "os.spawn"})


class Outcomes:
    """Counts what attempts end in: fine, the documented error, or anything else, which is a fault."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.faults: list[str] = []

    def of(self, attempt: Callable[[], object], documented: tuple[type[BaseException], ...]) -> None:
        """Make one attempt, which may succeed or raise one of the ``documented`` errors."""
        try:
            attempt()
        except documented:
            self.counts["refused"] += 1
        except BaseException as error:
            self.fault(repr(error))
        else:
            self.counts["read"] += 1

    def fault(self, what: str) -> None:
        """Count an attempt that ended in what must not be."""
        self.counts["faults"] += 1
        self.faults.append(what)


class Row(NamedTuple):
    """One line of the table."""

    attack: str
    tried: int
    result: str
    peak_mb: int
    faults: list[str]


def run(attack: Callable[[Outcomes], None]) -> Row:
    """Run an attack in a process of its own: a crash ends that process alone, and is a fault."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_attacked, args=(attack, sender))
    process.start()
    sender.close()
    name = (attack.__doc__ or attack.__name__).strip().rstrip(".")
    try:
        return Row(name, *receiver.recv())
    except EOFError:
        process.join()
        return Row(name, 0, f"crashed: exit code {process.exitcode}", 0, ["crashed"])
    finally:
        process.join()


def _attacked(attack: Callable[[Outcomes], None], sender) -> None:
    outcomes, started = Outcomes(), []
    sys.addaudithook(lambda event, given: started.append(f"{event} {given[:2]}") if event in _STARTS else None)
    attack(outcomes)
    if started:
        outcomes.fault(f"programs were started: {Counter(started)}")
    counts = outcomes.counts
    result = f"{counts['read']} read, {counts['refused']} refused, {counts['faults']} faults"
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    sender.send((counts.total(), result, peak_mb, outcomes.faults))


def main(attacks: Sequence[Callable[[Outcomes], None]]) -> int:
    """Print a table of attacks; return the exit code, 1 where there is a fault."""
    rows = [run(attack) for attack in attacks]
    print("| Attack or fault | Tried | Result | Peak of memory |\n|---|---|---|---|")
    for row in rows:
        print(f"| {row.attack} | {row.tried:,} | {row.result} | {row.peak_mb:,} MB |")
    for row in rows:
        for fault in row.faults[:20]:
            print(f"{row.attack}: {fault}", file=sys.stderr)
    return int(any(row.faults for row in rows))
