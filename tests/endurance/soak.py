"""Hours of ordinary work, with something broken every so often: nothing grows, nothing is lost, nothing passes."""

import asyncio
import collections
import math
import random
import shutil
import signal
import time

from callers import Callers, question
from guards import POLICY, Guard, StandIn, by_trace

# Faults do not outlast their turn by more than what gives up last.
LIMITS = {"upstream_seconds": 5, "upstream_idle_seconds": 5, "request_seconds": 10, "drain_seconds": 10}
# What callers ask for, how often, and whether it may pass: model, about what, how long a text, streamed.
KINDS = [
    ("short", 40, "w12", "the weather", 120, False),
    ("long", 8, "w400", "the weather", 12_000, False),
    ("stream at once", 12, "w300", "the weather", 600, True),
    ("stream in time", 12, "w40-p50", "the weather", 200, True),
    ("asks for a trigger", 6, "w12", "PORTCULLIS-TEST-S1", 400, False),
    ("asks for a trigger, streamed", 4, "w40-p50", "PORTCULLIS-TEST-S1", 400, True),
    ("asks for what the judge finds", 6, "w12", "dynamite", 400, False),
    ("is answered with a trigger", 4, "w60-bT", "the weather", 200, False),
    ("is answered with what the judge finds", 4, "w60-bJ", "the weather", 200, False),
    ("is streamed a trigger", 2, "w60-p20-bT", "the weather", 200, True),
    ("is streamed what the judge finds", 2, "w300-bJ", "the weather", 200, True),
]
# What an answer may be; 0 is none at all.
EXPECTED = {200, 400, 429, 502, 503, 504}
PATIENCE = 20
BROKEN = POLICY.replace("output: block", "output: perhaps")


class Soak:
    """Load on one guard, and what came of it."""

    def __init__(self, guard, model, judge, seed):
        self.guard, self.model, self.judge, self.rng = guard, model, judge, random.Random(seed)
        self.callers, self.tasks, self.phase, self.leaving = Callers(guard.address), set(), "closed loop", False
        self.statuses, self.times = collections.defaultdict(collections.Counter), collections.defaultdict(list)
        self.sent, self.unsure, self.problems, self.finished = set(), set(), collections.Counter(), 0
        self.samples, self.policies = [], 0

    async def one(self):
        kind, _, model, about, length, stream = self.rng.choices(KINDS, [kind[1] for kind in KINDS])[0]
        filler = " ".join(f"{self.rng.randrange(10**6):06}" for _ in range(length // 7))
        body = question(model, f"Tell me about {about}. {filler}", stream)
        leave = self.rng.random() if self.leaving else None
        phase, answer = self.phase, await self.callers.ask(body, PATIENCE, leave)
        self.finished += 1
        if phase == "well" and self.phase != phase:
            phase = "when something broke"
        bad = kind.startswith(("asks for", "is "))
        if answer.sent:
            # Whoever left, or was left, may have done so before the guard had read all of the request.
            (self.sent if answer.status else self.unsure).add(answer.trace)
        self.statuses[phase]["left" if answer.left and leave is not None else answer.status] += 1
        self.times[phase, kind].append(answer.seconds)
        if answer.leaks:
            self.problems[f"unsafe text passed: {kind}"] += 1
        if bad and answer.done and b"content_filter" not in answer.body:
            self.problems[f"{kind}: got a whole answer"] += 1
        if not answer.left and answer.status not in EXPECTED and phase in ("well", "closed loop"):
            self.problems[f"status {answer.status} while all was well"] += 1
        if not bad and phase == "well" and not answer.done:
            self.problems[f"{kind}: {answer.status} while all was well"] += 1

    async def closed_loop(self, seconds, at_once):
        """How many a second it answers when somebody always asks; the processor's share it takes then."""
        until, begun, before = time.monotonic() + seconds, time.monotonic(), self.guard.taken()[3]

        async def ask():
            while time.monotonic() < until:
                await self.one()

        await asyncio.gather(*(ask() for _ in range(at_once)))
        took = time.monotonic() - begun
        return self.finished / took, (self.guard.taken()[3] - before) / took

    async def open_loop(self, rate, until):
        """Asks `rate` times a second, whatever becomes of it."""
        due = time.monotonic()
        while due < until:
            due += self.rng.expovariate(rate)
            if (wait := due - time.monotonic()) > 0:
                await asyncio.sleep(wait)
            task = asyncio.ensure_future(self.one())
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)
        await asyncio.gather(*self.tasks)

    async def sample(self, begun):
        while True:
            self.samples.append((time.monotonic() - begun, *self.guard.taken()))
            await asyncio.sleep(5)

    # === Faults: each is a name, what breaks, and what mends. ===

    def faults(self):
        def signals(server, number):
            return lambda: server.signal(number)

        def mode(server, name):
            return lambda: server.mode(name)

        loop = asyncio.get_running_loop()

        def leave(now):
            self.leaving = now
            for connection in list(self.callers.asking) if now else []:
                loop.call_soon_threadsafe(connection.leave)

        def policy(text):
            self.policies += 1
            self.guard.write_policy(f"endurance-{self.policies}", text)

        def hang_up():
            self.guard.process.send_signal(signal.SIGHUP)

        return [
            ("the model server is killed", self.model.kill, self.model.start),
            ("the judge is killed", self.judge.kill, self.judge.start),
            ("callers leave", lambda: leave(True), lambda: leave(False)),
            ("the model server hangs", signals(self.model, signal.SIGSTOP), signals(self.model, signal.SIGCONT)),
            ("the judge hangs", signals(self.judge, signal.SIGSTOP), signals(self.judge, signal.SIGCONT)),
            ("a new policy", lambda: policy(POLICY), hang_up),
            ("the model server is slow", mode(self.model, "slow"), mode(self.model, "well")),
            ("the judge is slow", mode(self.judge, "slow"), mode(self.judge, "well")),
            ("a broken policy", lambda: policy(BROKEN), lambda: policy(POLICY)),
            ("the model server cuts answers off", mode(self.model, "cut"), mode(self.model, "well")),
            ("the judge cuts answers off", mode(self.judge, "cut"), mode(self.judge, "well")),
            ("the model server says junk", mode(self.model, "junk"), mode(self.model, "well")),
            ("the judge says junk", mode(self.judge, "junk"), mode(self.judge, "well")),
        ]

    async def break_things(self, every, until):
        """Breaks something for a third of the time, lets things get well for a third, and expects that they are."""
        count, faults = 0, self.faults()
        while time.monotonic() + every < until:
            await asyncio.sleep(every / 3)
            what, break_, mend = faults[count % len(faults)]
            count, self.phase = count + 1, what
            before = self.statuses[what].copy()
            await asyncio.to_thread(break_)
            await asyncio.sleep(every / 3)
            await asyncio.to_thread(mend)
            self.phase = f"after {what}"
            await asyncio.sleep(every / 3)
            print(f"{what}: {said(self.statuses[what] - before)}; afterwards {said(self.statuses[self.phase])}", flush=True)
            self.phase = "well"
        return count


def said(counts):
    return ", ".join(f"{status or 'none'}: {count}" for status, count in sorted(counts.items(), key=str)) or "nothing"


def slope(points):
    """Of a line through the points, by least squares, a minute; with half the width of its 95 % interval.

    What follows closely upon each other is alike, so means over twentieth parts of the time are the points."""
    size = max(1, len(points) // 20)
    groups = [points[at : at + size] for at in range(0, len(points) - size + 1, size)]
    xs, ys = ([sum(point[axis] for point in group) / len(group) for group in groups] for axis in (0, 1))
    count, mx, my = len(xs), sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((x - mx) ** 2 for x in xs)
    rise = sum((x - mx) * (y - my) for x, y in zip(xs, ys)) / spread
    rest = sum((y - my - rise * (x - mx)) ** 2 for x, y in zip(xs, ys))
    # Student's t for 18 degrees of freedom.
    return rise * 60, 2.1 * math.sqrt(rest / max(1, count - 2) / spread) * 60


def growth(samples, problems):
    """Whether memory, descriptors and threads stay what they are, over the second half of the time."""
    half = samples[len(samples) // 2 :]
    for name, at, unit, much in (("memory", 1, "KiB", 0.10), ("descriptors", 2, "", 0.20), ("threads", 3, "", 0.10)):
        values = [sample[at] for sample in half]
        rise, off = slope([(sample[0], sample[at]) for sample in half])
        mean, minutes = sum(values) / len(values), (half[-1][0] - half[0][0]) / 60
        print(f"{name}: mean {mean:.0f} {unit}, from {min(values)} to {max(values)}; {rise:+.2f} ± {off:.2f} {unit} a minute "
              f"over the last {minutes:.1f} minutes", flush=True)
        if (rise - off) * minutes > much * mean:
            problems.append(f"{name} grow: {rise:+.2f} ± {off:.2f} {unit} a minute")


def recorded(soak, problems):
    """Every request has its records, and nothing was let through that somebody had not judged."""
    opened, closed = by_trace(soak.guard)
    sent, unsure = soak.sent, soak.unsure
    missing = sum(opened.get(trace) != 1 or len(closed.get(trace, ())) != 1 for trace in sent)
    strange = sum(trace not in sent and trace not in unsure for trace in opened)
    twice = sum(count != 1 for count in opened.values()) + sum(len(records) != 1 for records in closed.values())
    outcomes, unjudged = collections.Counter(), 0
    for (record,) in (records for records in closed.values() if len(records) == 1):
        outcomes[record["outcome"]] += 1
        unjudged += record["outcome"] == "allowed" and not judged(record)
    print(f"on record: {len(opened)} opened, {sum(map(len, closed.values()))} closed ({said(outcomes)}); sent and answered "
          f"{len(sent)}, of which without exactly one of each: {missing}; sent without any answer: {len(unsure)}, of which "
          f"opened: {sum(trace in opened for trace in unsure)}; allowed without every verdict: {unjudged}", flush=True)
    if missing or strange or twice or unjudged:
        problems.append(f"records: {missing} missing, {strange} of nobody, {twice} more than once, {unjudged} unjudged")


def judged(record):
    """Whether every check has given its verdict about the request and about the answer."""
    return all(
        record[side] and record[side]["checks"] and all(check["status"] == "ok" for check in record[side]["checks"])
        for side in ("input", "output")
    )


async def load(soak, arguments):
    rate, share = await soak.closed_loop(arguments.measure, arguments.at_once)
    print(f"closed loop, {arguments.at_once} at once, {arguments.measure:g} s: {rate:.0f} answers/s, the guard at {share:.0%} of a core",
          flush=True)
    rate = min(rate * arguments.load, arguments.most)
    soak.phase, begun, before = "well", time.monotonic(), soak.guard.taken()[3]
    until = begun + arguments.minutes * 60
    sampling = asyncio.ensure_future(soak.sample(begun))
    breaking = asyncio.ensure_future(soak.break_things(arguments.every, until))
    await soak.open_loop(rate, until)
    share = (soak.guard.taken()[3] - before) / (time.monotonic() - begun)
    print(f"open loop at {rate:.0f}/s for {arguments.minutes:g} minutes: {soak.finished} asked, {await breaking} faults, the "
          f"guard at {share:.0%} of a core", flush=True)
    # What happens to be there when nobody asks any more.
    soak.callers.close()
    await asyncio.sleep(3)
    sampling.cancel()
    memory, descriptors, threads, _ = soak.guard.taken()
    print(f"idle again: {memory} KiB, {descriptors} descriptors, {threads} threads", flush=True)


def run(arguments, folder):
    problems = []
    wrap = (["taskset", "-c", str(arguments.core)] if arguments.core is not None and shutil.which("taskset") else [])
    wrap += ["nice", "-n", str(arguments.nice)] if arguments.nice else []
    model, judge = StandIn(), StandIn()
    guard = Guard(arguments.binary, folder / "soak", model.url, LIMITS, judge.url, wrap)
    soak = Soak(guard, model, judge, arguments.seed)
    try:
        asyncio.run(load(soak, arguments))
    finally:
        code = guard.program.stop(60)
        model.stop()
        judge.stop()
    for (phase, kind), times in sorted(soak.times.items()):
        if phase in ("closed loop", "well"):
            times.sort()
            print(f"{phase}, {kind}: {len(times)}, median {times[len(times) // 2] * 1000:.0f} ms, p99 "
                  f"{times[len(times) * 99 // 100] * 1000:.0f} ms", flush=True)
    problems += [f"{what}: {count} times" for what, count in soak.problems.items()]
    problems += [f"the guard ended with {code}"] if code else []
    problems += guard.verified()
    print(f"unsafe texts that passed: {sum(count for what, count in soak.problems.items() if 'unsafe' in what)}", flush=True)
    growth(soak.samples, problems)
    recorded(soak, problems)
    return problems
