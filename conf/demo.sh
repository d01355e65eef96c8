#!/bin/bash
# Installs what is missing, builds tallygate, and runs its demo: a shop in a folder, signed links to
# click. Arguments go to `tallygate demo`: `bash conf/demo.sh --once` ends by itself.
set -euo pipefail
cd "$(dirname "$0")/.."

bash conf/packages.sh
export CMAKE_GENERATOR=${CMAKE_GENERATOR:-Ninja}
cmake --preset release -B build/demo -D TALLYGATE_TESTS=OFF -D TALLYGATE_BENCH=OFF
cmake --build build/demo --parallel "$(nproc)" --target tallygate
exec build/demo/server/tallygate demo "$@"
