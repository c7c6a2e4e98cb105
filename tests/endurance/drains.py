"""SIGTERM with answers under way: each goes on to its end or to the limit, and all of it is on record."""

import asyncio
import random
import signal
import time

from callers import Callers, question
from guards import Guard, StandIn, by_trace
from stand_in import words

# Seconds for answers under way, and how much later a busy machine may be.
DRAIN, LATE = 5, 2.0
PAUSE = 0.05
PLAIN = "w3"


async def all_begun(callers, asked):
    """Waits until each answer has begun, that is, its head is there; the first may be over by then."""
    until = time.monotonic() + 30
    while sum(connection.head > 0 for connection in callers.asking) + sum(task.done() for task in asked) < len(asked):
        if time.monotonic() > until:
            raise SystemExit("not all answers began within 30 s")
        await asyncio.sleep(0.01)


async def one_round(guard, streams, outlast, rng, problems):
    """How long the guard took to end, and how many answers came whole and were cut."""
    callers = Callers(guard.address, kept=0)
    # From a second and a half to most of the limit; `outlast` of them go on for a minute.
    lengths = [rng.randrange(30, 70) for _ in range(streams - outlast)] + [1200] * outlast
    asked = [asyncio.ensure_future(callers.ask(question(f"w{n}-p{PAUSE * 1000:.0f}", f"Count to {n}.", True)))
             for n in lengths]
    ended = {}
    for at, task in enumerate(asked):
        task.add_done_callback(lambda _, at=at: ended.__setitem__(at, time.monotonic()))
    await all_begun(callers, asked)
    alive = sum(not task.done() for task in asked)
    told = time.monotonic()
    guard.process.send_signal(signal.SIGTERM)
    await asyncio.sleep(0.2)
    late = await callers.ask(question(PLAIN, "Too late?", False), patience=5)
    answers = await asyncio.gather(*asked)
    code = await asyncio.to_thread(guard.process.wait, DRAIN + 30)
    took = time.monotonic() - told
    opened, closed = by_trace(guard)
    for at, (length, answer) in enumerate(zip(lengths, answers, strict=True)):
        records = closed.get(answer.trace, [])
        outcome = records[0]["outcome"] if len(records) == 1 else "not on record once"
        if length < 1200:
            if not answer.done or answer.text != "".join(words(length, None)):
                problems.append(f"an answer of {length * PAUSE:.1f} s was cut {ended[at] - told:.1f} s after SIGTERM: {answer}")
            if opened.get(answer.trace) != 1 or outcome != "allowed":
                problems.append(f"a whole answer is on record as {outcome}")
        else:
            after = ended[at] - told
            if answer.done or not DRAIN - 0.1 <= after <= DRAIN + LATE:
                problems.append(f"an answer without end ended after {after:.2f} s: {answer}")
            if b'"code":"shut_down"' not in answer.body or not answer.complete:
                problems.append(f"an answer that is cut does not say so: {answer.body[-200:]}")
            if opened.get(answer.trace) != 1 or (outcome, records[0].get("reason")) != ("failed", "shut_down"):
                problems.append(f"an answer that was cut is on record as {outcome}: {records}")
    if late.status or late.sent:
        problems.append(f"somebody was let in after SIGTERM: {late.status}")
    if len(opened) != streams or len(closed) != streams:
        problems.append(f"{len(opened)} opened and {len(closed)} closed for {streams} answers")
    if code or not took < DRAIN + LATE or (outlast and took < DRAIN):
        problems.append(f"the guard ended with {code} after {took:.1f} s")
    problems += guard.verified()
    return took, alive, sum(answer.done for answer in answers)


def run(arguments, folder):
    rng, problems, model = random.Random(arguments.seed), [], StandIn()
    times, alive, whole, cut = {0: [], 1: []}, 0, 0, 0
    try:
        for number in range(arguments.rounds):
            # Every fifth time some do not end.
            outlast = arguments.streams // 10 if number % 5 == 4 else 0
            guard = Guard(arguments.binary, folder / str(number), model.url, {"drain_seconds": DRAIN})
            try:
                found = asyncio.run(one_round(guard, arguments.streams, outlast, rng, problems))
            finally:
                guard.program.stop()
            times[outlast > 0].append(found[0])
            alive, whole, cut = alive + found[1], whole + found[2], cut + outlast
            if problems:
                break
            if number % 10 == 9:
                print(f"{number + 1} drains: {whole} answers whole, {cut} cut at the limit", flush=True)
    finally:
        model.stop()
    for which, took in (("all end in time", times[0]), ("some do not", times[1])):
        if took:
            print(f"{len(took)} drains where {which}: over after {min(took):.1f} to {max(took):.1f} s "
                  f"(limit {DRAIN} s)", flush=True)
    print(f"{sum(map(len, times.values()))} drains with {arguments.streams} answers each, {alive} of them under way at SIGTERM: "
          f"{whole} whole, {cut} cut at the limit, {len(problems)} problems", flush=True)
    return problems[:10]
