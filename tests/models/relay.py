"""A TCP relay before a server: it can hold up, cut off and corrupt what comes back."""

import socket
import threading
import time


class Relay:
    """Passes connections on to `port`; `mode` is `pass`, `slow`, `cut` or `corrupt`."""

    def __init__(self, port):
        self.mode, self._port = "pass", port
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            client, _ = self._socket.accept()
            threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client):
        try:
            server = socket.create_connection(("127.0.0.1", self._port), 2)
        except OSError:
            client.close()
            return
        server.settimeout(None)
        threading.Thread(target=self._pump, args=(client, server, False), daemon=True).start()
        self._pump(server, client, True)

    def _pump(self, source, sink, back):
        try:
            while data := source.recv(65536):
                if back and self.mode == "slow":
                    time.sleep(3)
                if back and self.mode == "cut":
                    data = data[: len(data) // 2]
                if back and self.mode == "corrupt":
                    data = corrupted(data)
                sink.sendall(data)
                if back and self.mode == "cut":
                    break
        except OSError:
            pass
        for side in (source, sink):
            try:
                side.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def corrupted(data):
    """The same length; log probabilities, token ids and words say something else."""
    for old, new in [(b'"logprob":-', b'"logprob": '), (b'"id":2', b'"id":x'), (b'"logprobs"', b'"logprobz"')]:
        data = data.replace(old, new)
    return data
