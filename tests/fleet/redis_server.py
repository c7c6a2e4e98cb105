"""A real Redis or Valkey: the system's, or Debian's package unpacked below the target directory."""

import os
import pathlib
import shutil
import socket
import subprocess
import time

# The program is in redis-tools; the others are libraries that a small system may lack.
PACKAGES = ["redis-tools", "libjemalloc2", "liblzf1", "libatomic1"]


def program(target):
    """The program, and the environment that it needs."""
    for name in ("redis-server", "valkey-server"):
        if path := shutil.which(name):
            return path, dict(os.environ)
    folder = pathlib.Path(target) / "redis"
    inside = folder / "usr/bin/redis-check-rdb"
    if not inside.is_file():
        print("fetching redis ...", flush=True)
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "download", "--quiet", *PACKAGES], check=True, cwd=folder)
        for package in folder.glob("*.deb"):
            subprocess.run(["dpkg", "-x", package, folder], check=True)
    server = folder / "redis-server"
    if not server.exists():
        # It is one program that looks at its name.
        server.symlink_to(inside)
    libraries = sorted({str(path.parent) for path in folder.rglob("*.so*")})
    return str(server), {**os.environ, "LD_LIBRARY_PATH": ":".join(libraries)}


class Redis:
    """A server without memory on `port`."""

    def __init__(self, target, port):
        self._program, self._environment = program(target)
        self.port, self.process = port, None
        self.start()

    def start(self):
        command = [self._program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=self._environment)
        while self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.01)
        raise SystemExit(f"{self._program} did not start")

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def ask(self, *words):
        """What it answers to a command, as it is."""
        with socket.create_connection(("127.0.0.1", self.port), 2) as connection:
            connection.sendall(command(*words))
            time.sleep(0.1)
            return connection.recv(1 << 20).decode()

    def spent(self):
        """Processor time since its start, in microseconds."""
        said = dict(line.split(":") for line in self.ask("INFO", "cpu").splitlines() if ":" in line)
        return sum(float(said[f"used_cpu_{what}"]) for what in ("user", "sys")) * 1e6

    def cost(self, *words, count=20_000, batch=20):
        """Processor time of a command, in microseconds; `batch` of them come at a time, as from many callers."""
        before = self.spent()
        with socket.create_connection(("127.0.0.1", self.port), 10) as connection:
            answers = connection.makefile("rb")
            for first in range(0, count, batch):
                sent = [command(*(word.replace("KEY", f"k{number % 500}") for word in words))
                        for number in range(first, first + batch)]
                connection.sendall(b"".join(sent))
                for _ in range(batch):
                    skip(answers)
        return (self.spent() - before) / count


def command(*words):
    parts = [f"*{len(words)}\r\n"] + [f"${len(word)}\r\n{word}\r\n" for word in words]
    return "".join(parts).encode()


def skip(answers):
    """Reads past one answer."""
    line = answers.readline()
    if line.startswith(b"*"):
        for _ in range(int(line[1:])):
            skip(answers)
    elif line.startswith(b"$"):
        answers.read(int(line[1:]) + 2)
