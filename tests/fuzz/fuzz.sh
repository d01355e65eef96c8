#!/bin/bash
# Builds a fuzz target with clang's libFuzzer and runs it on its corpus.
#
#   tests/fuzz/fuzz.sh ledger_reader BUILD_FOLDER [SECONDS]
#
# It needs no CMake, and takes its sources from the first lines below. TALLYGATE_SEED replays a run as
# far as a run that is bounded by time can be replayed; an input that failed is kept and named. Exits
# with 77 where there is no clang with its runtime.
set -euo pipefail
cd "$(dirname "$0")/../.."

name=$1 out=$2 seconds=${3:-20}
case $name in
  ledger_reader)
    sources=(
      core/base/result.cc core/shop/word.cc
      core/ledger/{span,meter,record,account,account_image,segment_format,snapshot_format}.cc
      server/ledger/{files,segment_reader,snapshot_file,chronicle,chronicle_files,find_use}.cc
    )
    libraries=(-lfmt -lxxhash) ;;
  proxy_protocol)
    sources=(core/net/proxy_protocol.cc core/link/ip_block.cc)
    libraries=() ;;
  forwarded)
    sources=(core/http/{forwarded,request_head,syntax}.cc core/link/ip_block.cc)
    libraries=() ;;
  *) echo "tests/fuzz/fuzz.sh: no target $name" >&2; exit 64 ;;
esac

clang=$(command -v clang++ || command -v clang++-14 || true)
if [[ -z $clang ]]; then
  echo "skipped: there is no clang++ here (Debian: clang)"
  exit 77
fi
mkdir -p "$out"
flags=(-std=c++20 -O1 -g1 -fno-omit-frame-pointer -I. -DBOOST_ASIO_NO_DEPRECATED
  -fno-sanitize-recover=all)
# Its runtime is a package of its own.
if ! echo 'extern "C" int LLVMFuzzerTestOneInput(const unsigned char*, unsigned long) { return 0; }' |
    "$clang" -x c++ -fsanitize=fuzzer,address,undefined - -o "$out/probe" 2>"$out/probe.log"; then
  echo "skipped: clang++ has no libFuzzer here (Debian: libclang-rt-14-dev)"
  exit 77
fi

compile=("$clang")
command -v ccache >/dev/null && compile=(ccache "$clang")
objects=() jobs=()
for source in "${sources[@]}" "tests/fuzz/${name}_fuzz.cc"; do
  object="$out/${source//\//.}.o"
  objects+=("$object")
  jobs+=("$source" "$object")
done
printf '%s\0%s\0' "${jobs[@]}" | xargs -0 -n 2 -P "$(nproc)" bash -c '
  "${@:1:$#-2}" -c "${@:$#-1:1}" -o "${@:$#:1}"' - \
  "${compile[@]}" "${flags[@]}" -DTALLYGATE_SANITIZED -fsanitize=fuzzer-no-link,address,undefined
"$clang" -fsanitize=fuzzer,address,undefined "${objects[@]}" -o "$out/$name" -pthread "${libraries[@]}"

# What a run finds goes to the first folder; the corpus of the tree is only read.
mkdir -p "$out/found" "$out/failed"
exec "$out/$name" "$out/found" "tests/fuzz/corpus/$name" -max_total_time="$seconds" \
  -seed="${TALLYGATE_SEED:-$((RANDOM << 15 | RANDOM))}" -max_len=20000 -timeout=10 \
  -malloc_limit_mb=16 -rss_limit_mb=1024 -artifact_prefix="$out/failed/" -print_final_stats=1
