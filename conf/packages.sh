#!/bin/bash
# Installs the Debian 12 packages that are missing: what building and running needs, with the
# argument `tests` what the tests need besides, with `load` what bench/load does. This is the one
# list of them.
set -euo pipefail

build=(
  g++ cmake ninja-build ccache pkg-config
  libboost1.81-dev libboost-json1.81-dev libssl-dev libxxhash-dev liburing-dev libsqlite3-dev
  libtomlplusplus-dev libcli11-dev libfmt-dev
  libpq-dev libmariadb-dev libhowardhinnant-date-dev libsystemd-dev
  media-types   # /etc/mime.types
)
tests=(
  libgtest-dev libgmock-dev libbenchmark-dev
  clang-format
  clang-14 libclang-rt-14-dev   # libFuzzer
  util-linux    # setarch: the thread sanitizer wants addresses that are not random; fsfreeze
  e2fsprogs mount               # a file system of a few megabytes, to be filled and frozen
  openssl       # makes the certificates of a test
  logrotate     # renames the access log as on a server
  man-db mandoc                                    # read the manual
  dpkg-dev file                                    # make the Debian package
  systemd debootstrap systemd-container iproute2   # a clean Debian to install it in
  python3       # the end-to-end tests, and these are their clients:
  curl wget aria2 nginx haproxy php-cli nodejs testssl.sh
  chromium chromium-driver fonts-dejavu-core   # the live page
  postgresql mariadb-server     # shops' databases; each test starts one of its own
  prometheus    # promtool: the rules in conf/alerts.yml
  python3-psycopg2 python3-pymysql python3-jsonschema
)
load=(
  libbenchmark-dev libgtest-dev libgmock-dev   # the release preset has benches and tests
  python3 openssl iproute2
  nginx libnginx-mod-http-lua lua-nginx-redis redis-server   # the opponents
)

case "${1-}" in
  "") wanted=("${build[@]}") ;;
  tests) wanted=("${build[@]}" "${tests[@]}") ;;
  load) wanted=("${build[@]}" "${load[@]}") ;;
  *) echo "usage: conf/packages.sh [tests|load]" >&2; exit 64 ;;
esac

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
  echo "conf/packages.sh: not a Debian system; going on with what is installed. Debian's names of" \
    "what is needed: ${wanted[*]}" >&2
  exit 0
fi

missing=()
for package in "${wanted[@]}"; do
  status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
  [[ $status == installed ]] || missing+=("$package")
done
((${#missing[@]})) || exit 0

if ((EUID != 0)); then
  echo "conf/packages.sh: these packages are missing, and only root can install them:" >&2
  echo "  apt-get install --no-install-recommends ${missing[*]}" >&2
  exit 1
fi

# Nothing that is installed here for its program alone shall start its service (nginx, redis,
# PostgreSQL and MariaDB do).
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
fi

export DEBIAN_FRONTEND=noninteractive
install=(apt-get install -y -q --no-install-recommends -o DPkg::Lock::Timeout=300)
echo "installing ${missing[*]}"
# The lists of a new system are empty, and old ones name versions that are gone.
"${install[@]}" --download-only "${missing[@]}" >/dev/null 2>&1 || apt-get update -q
"${install[@]}" "${missing[@]}"
