#!/bin/bash
# Installs what is missing, builds, and measures tallygate beside nginx, nginx + Lua + Redis and a
# bare sendfile loop. Options go to run.py: `bash bench/load/run.sh --help`.
set -euo pipefail
cd "$(dirname "$0")/../.."

bash conf/packages.sh load >&2
export CMAKE_GENERATOR=${CMAKE_GENERATOR:-Ninja}
cmake --preset release >/dev/null
cmake --build --preset release --parallel "$(nproc)" \
  --target tallygate bench.load.client bench.load.limit >&2
exec python3 bench/load/run.py "$@"
