"""Idle and slow callers by the thousand beside ordinary ones: the ordinary ones must not notice."""

import asyncio
import math
import random
import resource
import subprocess
import sys
import time

from callers import Callers, question
from guards import HERE, Guard, Program, StandIn

async def ordinary(callers, rate, seconds, rng):
    """Asks so often for so long; how long each answer took, and how many were none."""
    due = begun = time.monotonic()
    tasks = []
    while due < begun + seconds:
        due += rng.expovariate(rate)
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        body = question("w12", f"Tell me about spring, letter {rng.randrange(10**9)}.", False)
        tasks.append(asyncio.ensure_future(callers.ask(body)))
    answers = await asyncio.gather(*tasks)
    return sorted(answer.seconds for answer in answers), sum(not answer.done for answer in answers)


def quantile(values, share):
    return values[min(len(values) - 1, int(len(values) * share))]


def median(values):
    return quantile(sorted(values), 0.5)


class Crowd:
    """The callers who are in the way, while they are."""

    def __init__(self, address, kind, count):
        command = [sys.executable, HERE / "crowd.py", address, kind, count]
        ready = lambda line: line if line.startswith("ready") else None  # noqa: E731
        self.program = Program(command, ready, patience=120, stdin=subprocess.PIPE)
        self.here = int(self.program.answer.split()[1])

    def leave(self):
        """How many of them the guard has closed meanwhile."""
        self.program.process.stdin.write("\n")
        self.program.process.stdin.flush()
        self.program.process.wait(30)
        return int(self.program.lines[-1])


async def settled(guard):
    """Waits until what has been opened is dealt with: the guard does nothing by itself any more."""
    for _ in range(60):
        before = guard.taken()[3]
        await asyncio.sleep(1)
        if guard.taken()[3] - before < 0.1:
            return


async def rounds(guard, arguments, problems):
    rng, callers = random.Random(arguments.seed), Callers(guard.address)
    # Everything has been used once before anything is measured.
    await ordinary(callers, arguments.rate, 3, rng)
    counts = {"alone": 0, "idle": arguments.connections, "slow": arguments.slow}
    kinds = [kind for kind in counts if kind == "alone" or counts[kind]]
    found, costs, errors, closed = {kind: [] for kind in counts}, [], 0, 0
    for number in range(arguments.rounds):
        # Each time in another order, so that what else the machine does meets all of them.
        for kind in sorted(kinds, key=lambda _: rng.random()):
            before, count = guard.taken(), counts[kind]
            crowd = await asyncio.to_thread(Crowd, guard.address, kind, count) if count else None
            await settled(guard)
            times, failed = await ordinary(callers, arguments.rate, arguments.seconds, rng)
            taken = guard.taken()
            if kind == "idle":
                costs.append((taken[0] - before[0]) / count)
            if crowd and (crowd.here < count or taken[1] < count):
                problems.append(f"{crowd.here} of {count} {kind} callers came in, {taken[1]} descriptors are open")
            closed += crowd.leave() if crowd else 0
            found[kind].append((median(times), quantile(times, 0.99), times))
            errors += failed
            print(f"round {number + 1}, {kind}: {len(times)} answers, {failed} errors, median {median(times) * 1000:.1f} ms, p99 "
                  f"{quantile(times, 0.99) * 1000:.1f} ms; {taken[0]} KiB, {taken[1]} descriptors", flush=True)
    for kind in (kind for kind in ("idle", "slow") if counts[kind]):
        compare(f"{counts[kind]} {kind}", found["alone"], found[kind])
    # In later rounds there is memory that earlier ones have left: the first says what a connection takes.
    print(f"memory of an idle connection: {costs[0]:.1f} KiB; connections that the guard has closed: {closed}; errors: {errors}",
          flush=True)
    if errors:
        problems.append(f"{errors} ordinary questions had no answer")
    if max(costs) > 16:
        problems.append(f"an idle connection takes {max(costs):.1f} KiB")


def compare(word, alone, beside):
    """The medians over all rounds, and how far the ratios of rounds lie apart."""
    pooled = [quantile(sorted(time for found in rounds for time in found[2]), 0.99) for rounds in (alone, beside)]
    print(f"p99 of all questions beside {word} callers: {pooled[1] * 1000:.1f} ms, alone {pooled[0] * 1000:.1f} ms, "
          f"{pooled[1] / pooled[0] - 1:+.0%}", flush=True)
    for at, name in ((0, "median"), (1, "p99")):
        first, second = median([pair[at] for pair in alone]), median([pair[at] for pair in beside])
        logs = [math.log(b[at] / a[at]) for a, b in zip(alone, beside, strict=True)]
        mean = sum(logs) / len(logs)
        off = 2 * math.sqrt(sum((log - mean) ** 2 for log in logs) / max(1, len(logs) - 1) / len(logs))
        print(f"{name} beside {word} callers: {second * 1000:.1f} ms, alone {first * 1000:.1f} ms (medians of {len(alone)} "
              f"rounds); pairs of rounds: {math.exp(mean) - 1:+.0%}, from {math.exp(mean - off) - 1:+.0%} to "
              f"{math.exp(mean + off) - 1:+.0%}", flush=True)


def run(arguments, folder):
    problems, needed = [], arguments.connections + 2 * arguments.slow + 1000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < needed:
        if hard != resource.RLIM_INFINITY and hard < needed:
            raise SystemExit(f"{needed} open files are needed and {hard} allowed: ulimit -n {needed}, as root")
        # What is started from here has it too.
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    model = StandIn()
    guard = Guard(arguments.binary, folder / "idle", model.url, {})
    try:
        asyncio.run(rounds(guard, arguments, problems))
    finally:
        code = guard.program.stop(60)
        model.stop()
    problems += [f"the guard ended with {code}"] if code else []
    return problems + guard.verified()
