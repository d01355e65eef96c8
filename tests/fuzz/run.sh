#!/bin/bash
# Builds a fuzz target with clang's libFuzzer and runs it on its corpus.
#
#   tests/fuzz/run.sh TARGET SECONDS [FOLDER]   FOLDER, build/fuzz, holds what was built and found
#   tests/fuzz/run.sh --build [FOLDER]          builds all of them
#
# It needs no CMake: the sources of each target stand below, and ninja builds what changed.
# TALLYGATE_SEED replays a run as far as a run that is bounded by time can be replayed; an input that
# failed is kept and named. TALLYGATE_FUZZ_OPTIMIZE (-O1) is for the compiler. Exits with 77 where
# there is no clang with its runtime.
set -euo pipefail
cd "$(dirname "$0")/../.."

targets=(date forwarded head keyring ledger_reader proxy_protocol range request_target settings shop_row token)

# Sets `sources` and `libraries`.
needs_of() {
  local link=(core/link/{base64url,hmac_sha256,ip_block,keyring,link_id,path,text,token,verify}.cc)
  libraries=(-lfmt -lcrypto -lxxhash)
  case $1 in
    date) sources=(core/http/date.cc) ;;
    forwarded) sources=(core/http/{forwarded,request_head,syntax}.cc core/link/ip_block.cc) ;;
    proxy_protocol) sources=(core/net/proxy_protocol.cc core/link/ip_block.cc) ;;
    request_target) sources=("${link[@]}" core/link/{explain,mask}.cc core/base/result.cc) ;;
    shop_row)
      sources=(
        core/base/result.cc core/ledger/record.cc core/shop/word.cc
        server/shop/{column,history_reader,local_time,row_values}.cc
      )
      libraries+=(-ldate-tz) ;;
    token) sources=("${link[@]}" core/http/{content_disposition,syntax}.cc core/base/result.cc) ;;
    head)
      sources=(
        core/http/{accept,date,etag,precondition,request_check,request_head,syntax}.cc
        core/link/{ip_block,mask}.cc server/http/{access_line,head_parser}.cc
      )
      libraries+=(-lboost_json) ;;
    keyring) sources=("${link[@]}" core/base/result.cc core/config/{nearest,wrong}.cc
      core/link/{keyring_file,secret,sign}.cc) ;;
    ledger_reader)
      sources=(
        core/base/result.cc core/shop/word.cc
        core/ledger/{span,meter,record,account,account_image,segment_format,snapshot_format}.cc
        server/ledger/{files,segment_reader,snapshot_file,chronicle,chronicle_files,find_use}.cc
      ) ;;
    settings)
      sources=(
        core/base/result.cc core/link/ip_block.cc core/shop/maria_url.cc
        core/config/{combination,declarations,document,duration,form,nearest,parse,reload,rule}.cc
        core/config/{value,wrong}.cc
      ) ;;
    range) sources=(core/base/result.cc core/http/{mime,multipart,range,syntax}.cc) ;;
    *) echo "tests/fuzz/run.sh: no target $1; there are ${targets[*]}" >&2; exit 64 ;;
  esac
}

usage() {
  sed -n '4,5s/^# *//p' tests/fuzz/run.sh >&2
  exit 64
}
case ${1-} in
  --build) name='' out=${2:-build/fuzz} ;;
  "" | -*) usage ;;
  *) name=$1 seconds=${2-} out=${3:-build/fuzz}
     [[ $seconds =~ ^[0-9]+$ ]] || usage
     needs_of "$name" ;;
esac

clang=$(command -v clang++ || command -v clang++-14 || true)
if [[ -z $clang ]]; then
  echo "skipped: there is no clang++ here (Debian: clang)"
  exit 77
fi
mkdir -p "$out"
# Its runtime is a package of its own.
if [[ ! -e $out/probe ]] &&
    ! echo 'extern "C" int LLVMFuzzerTestOneInput(const unsigned char*, unsigned long) { return 0; }' |
    "$clang" -x c++ -fsanitize=fuzzer,address,undefined - -o "$out/probe" 2>"$out/probe.log"; then
  echo "skipped: clang++ has no libFuzzer here (Debian: libclang-rt-14-dev)"
  exit 77
fi

# What targets share is compiled once, by one of us at a time.
exec 9>"$out/lock"
flock 9
compile=$clang
if command -v ccache >/dev/null; then compile="ccache $clang"; fi
declare -A written=()
{
  cat <<RULES
builddir = $out
flags = -std=c++20 ${TALLYGATE_FUZZ_OPTIMIZE:--O1} -g1 -fno-omit-frame-pointer -I. $
    -DBOOST_ASIO_NO_DEPRECATED -DTALLYGATE_SANITIZED -fno-sanitize-recover=all
rule compile
  command = $compile \$flags -fsanitize=fuzzer-no-link,address,undefined -MD -MF \$out.d -c \$in -o \$out
  depfile = \$out.d
  deps = gcc
rule link
  command = $clang -fsanitize=fuzzer,address,undefined \$in -o \$out -pthread \$libraries
RULES
  for target in "${targets[@]}"; do
    needs_of "$target"
    objects=()
    for source in "${sources[@]}" "tests/fuzz/${target}_fuzz.cc"; do
      object="$out/objects/${source//\//.}.o"
      objects+=("$object")
      [[ -n ${written[$source]-} ]] || echo "build $object: compile $source"
      written[$source]=1
    done
    printf 'build %s: link %s\n  libraries = %s\n' "$out/$target" "${objects[*]}" "${libraries[*]}"
    echo "build $target: phony $out/$target"
  done
} >"$out/build.ninja.new"
mv "$out/build.ninja.new" "$out/build.ninja"
ninja --quiet -f "$out/build.ninja" ${name:+"$name"}
exec 9>&-
[[ -n $name ]] || exit 0

options=()
[[ -e tests/fuzz/dictionary/$name ]] && options+=("-dict=tests/fuzz/dictionary/$name")
# What a run finds goes to the first folder; the corpus of the tree is only read.
mkdir -p "$out/found/$name" "$out/failed"
exec "$out/$name" "$out/found/$name" "tests/fuzz/corpus/$name" -max_total_time="$seconds" \
  -seed="${TALLYGATE_SEED:-$((RANDOM << 15 | RANDOM))}" -max_len=20000 -timeout=10 \
  -error_exitcode=1 -malloc_limit_mb=16 -rss_limit_mb=1024 -artifact_prefix="$out/failed/$name-" \
  -print_final_stats=1 "${options[@]}"
