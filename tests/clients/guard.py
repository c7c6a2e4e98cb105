"""Starts and stops programs: the guard, and the scripted server behind it."""

import json
import os
import pathlib
import queue
import subprocess
import threading
import time


class DidNotStart(Exception):
    """A program ended, or said nothing, before it was ready."""


class Program:
    """A child process whose output lines are read until one of them says that it is ready."""

    def __init__(self, command, ready, *, output="stdout", patience=60, **popen):
        streams = {output: subprocess.PIPE}
        self.process = subprocess.Popen(
            [str(part) for part in command], text=True, encoding="utf-8", **streams, **popen
        )
        self.lines = []
        said = queue.Queue()
        threading.Thread(target=self._read, args=(output, said), daemon=True).start()
        deadline = time.monotonic() + patience
        try:
            while True:
                line = said.get(timeout=max(0.0, deadline - time.monotonic()))
                if line is None:
                    break
                self.answer = ready(line)
                if self.answer is not None:
                    return
        except queue.Empty:
            pass
        except BaseException:
            self.stop()
            raise
        self.stop()
        output = "\n".join(self.lines[-20:]) or "it wrote nothing"
        raise DidNotStart(f"{command[0]} did not start:\n{output}")

    def _read(self, output, said):
        # Reads on to the end, or the program would wait for room in the pipe.
        for line in getattr(self.process, output):
            self.lines.append(line.rstrip("\n"))
            said.put(line)
        said.put(None)

    def stop(self, patience=10):
        """Asks it to end, and ends it when it does not."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


def address_in(line):
    """The address in the log line that tells where the guard listens."""
    try:
        address = json.loads(line)["fields"]["address"]
    except (ValueError, KeyError, TypeError):
        return None
    return f"http://{address}/v1"


class Guard:
    """A running `portcullis serve` on a free port, with its own audit directory in `folder`."""

    def __init__(self, binary, upstream, folder, policy=None, more=()):
        self.binary, self.audit_dir = binary, pathlib.Path(folder) / "audit"
        self.audit_dir.parent.mkdir(parents=True, exist_ok=True)
        command = [binary, "serve", "--upstream", upstream, "--listen", "127.0.0.1:0"]
        command += ["--log", "json", "--audit-dir", self.audit_dir, *more]
        if policy is not None:
            file = pathlib.Path(folder) / "policy.yaml"
            file.write_text(policy, encoding="utf-8")
            command += ["--policy", file]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PORTCULLIS_")}
        self._program = Program(command, address_in, output="stderr", env=environment)
        self.url = self._program.answer

    def log_lines(self):
        """What it has logged so far."""
        return list(self._program.lines)

    def stop(self):
        """Stops the guard; returns what is wrong: with its end, or with its audit log."""
        problems = []
        code = self._program.stop()
        if code != 0:
            problems.append(f"the guard ended with status {code}")
        verify = [str(self.binary), "audit", "verify", str(self.audit_dir)]
        checked = subprocess.run(verify, capture_output=True, text=True, check=False)
        if checked.returncode != 0:
            problems.append(f"the audit log is not sound: {checked.stdout}{checked.stderr}")
        return problems
