#!/bin/bash
# Everything at once, for ten minutes: slow and fast clients, plain and TLS, reloads, files replaced,
# resets, bad links, a database that comes and goes, and hand-overs at the end. Fails if a count is
# lost, an answer is none of tallygate's, or memory or descriptors grow. Prints what it saw.
#
#   tests/soak.sh              ten minutes with 2,000 clients
#   tests/soak.sh 2 300        two minutes with 300
set -euo pipefail
cd "$(dirname "$0")/.."
bash conf/packages.sh tests
export CMAKE_GENERATOR=${CMAKE_GENERATOR:-Ninja}
cmake --preset release >/dev/null
cmake --build --preset release --target tallygate --parallel "$(nproc)"
ulimit -n "$(ulimit -Hn)"
cd tests/e2e
export TALLYGATE=../../build/release/server/tallygate PYTHONDONTWRITEBYTECODE=1
exec python3 soak.py --minutes "${1:-10}" --clients "${2:-2000}"
