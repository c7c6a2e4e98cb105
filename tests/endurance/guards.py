"""The guard under test, what it takes of the machine, and what it left on record."""

import http.client
import json
import os
import pathlib
import socket
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "clients"))

from guard import Program, address_in  # noqa: E402

POLICY = """
version: 1
name: {name}
hazards: {{ defaults: {{ sensitivity: 1.0, input: block, output: block, tools: block }} }}
streaming: {{ window: 200 chars, overlap: 100 chars }}
on_failure: {{ input: block, output: block, tools: block, timeout: 2s }}
messages: {{ reply_as: error, default: {{ en: "No. ({{reference}})" }} }}
"""


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


class StandIn:
    """The model server, or one that judges."""

    def __init__(self):
        self.port, self.program = free_port(), None
        self.url = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self):
        command = [sys.executable, HERE / "stand_in.py", self.port]
        self.program = Program(command, lambda line: line, stderr=subprocess.DEVNULL)

    def kill(self):
        self.program.process.kill()
        self.program.process.wait()

    def signal(self, number):
        self.program.process.send_signal(number)

    def mode(self, name):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("POST", f"/mode/{name}", b"", {"content-length": "0"})
        connection.getresponse().read()
        connection.close()

    def stop(self):
        self.program.stop()


class Guard:
    """A running `portcullis serve`; `wrap` goes before the command, such as `taskset`."""

    def __init__(self, binary, folder, upstream, limits, judge=None, wrap=()):
        self.binary, self.audit, self.policy = binary, folder / "audit", folder / "policy.yaml"
        folder.mkdir(parents=True, exist_ok=True)
        self.write_policy("endurance")
        (folder / "server.yaml").write_text(json.dumps({"limits": limits}))
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PORTCULLIS_")}
        command = [*wrap, binary, "serve", "--log", "json", "--listen", "127.0.0.1:0", "--upstream", upstream,
                   "--audit-dir", self.audit, "--policy", self.policy, "--config", folder / "server.yaml"]
        if judge:
            command += ["--moderations-url", judge]
        self.program = Program(command, address_in, output="stderr", env=environment)
        self.address = self.program.answer.removeprefix("http://").removesuffix("/v1")
        self.process = self.program.process

    def write_policy(self, name, text=POLICY):
        """Puts another policy in place of the one in force, in one step."""
        new = self.policy.with_suffix(".new")
        new.write_text(text.format(name=name))
        new.replace(self.policy)

    def taken(self):
        """Memory in KiB, descriptors, threads, and processor time in seconds."""
        place = pathlib.Path(f"/proc/{self.process.pid}")
        status = dict(line.split(":", 1) for line in (place / "status").read_text().splitlines())
        spent = (place / "stat").read_text().rsplit(")", 1)[1].split()
        seconds = (int(spent[11]) + int(spent[12])) / os.sysconf("SC_CLK_TCK")
        descriptors = len(os.listdir(place / "fd"))
        return int(status["VmRSS"].split()[0]), descriptors, int(status["Threads"]), seconds

    def verified(self):
        """What `portcullis audit verify` has to say against the log."""
        verify = [str(self.binary), "audit", "verify", str(self.audit)]
        done = subprocess.run(verify, capture_output=True, text=True, check=False)
        return [] if done.returncode == 0 else [f"the audit log is not sound: {done.stdout}{done.stderr}"]

    def records(self, *kinds):
        """The records of these kinds, as they stand in the log."""
        wanted = tuple(f'"kind":"{kind}"'.encode() for kind in kinds)
        for segment in sorted(self.audit.glob("*.jsonl")):
            with segment.open("rb") as lines:
                for line in lines:
                    if any(kind in line[:60] for kind in wanted):
                        yield json.loads(line)


def by_trace(guard):
    """What is on record of each exchange, by its trace: how often it was opened, and how it was closed."""
    trace_of, opened, closed = {}, {}, {}
    for record in guard.records("opened", "closed", "abandoned"):
        if record["kind"] == "opened":
            trace = trace_of[record["id"]] = record["trace_id"]
            opened[trace] = opened.get(trace, 0) + 1
        else:
            closed.setdefault(trace_of.get(record["id"]), []).append(record)
    return opened, closed
