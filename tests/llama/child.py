"""A llama.cpp server as a process of its own: `python -m tests.llama.child OPTIONS-AS-JSON`.

It prints its URL once it answers, and leaves when its standard input closes, hence with its parent.
"""

import json
import sys
from typing import Any

import xllamacpp


def main(options: dict[str, Any]) -> None:
    """Serve until standard input ends."""
    params = xllamacpp.CommonParams()
    params.model.path = options["model"]
    params.model_alias = {options["alias"]}
    params.hostnames = ["127.0.0.1"]
    params.port = options["port"]
    params.n_parallel = options["slots"]
    params.n_ctx = options["window"] * options["slots"]
    params.kv_unified = False
    params.cache_ram_mib = options["cache_ram_mib"]
    params.api_keys = options["api_keys"]
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.n_gpu_layers = 0
    params.fit_params = False
    params.endpoint_metrics = params.endpoint_slots = True
    params.ui = False
    params.verbosity = -1
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
