#!/usr/bin/env python3
"""llama.cpp's server with one model, on a free port or the one that is given; says where on standard output.

    python llama_server.py MODEL.gguf [PORT]
"""
import signal
import sys

import xllamacpp

parameters = xllamacpp.CommonParams()
parameters.model.path = sys.argv[1]
parameters.model_alias = {"guard"}
parameters.hostnames = ["127.0.0.1"]
parameters.port = int(sys.argv[2]) if len(sys.argv) > 2 else 0
parameters.n_ctx = 4096
parameters.n_parallel = 2
parameters.n_gpu_layers = 0
parameters.cpuparams.n_threads = 1
server = xllamacpp.Server(parameters)
print(server.listening_address, flush=True)
signal.pause()
