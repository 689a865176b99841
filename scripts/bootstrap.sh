#!/usr/bin/env bash
# Make .venv hold exactly requirements.lock and this project. `make` runs it when needed.
#
#   PYTHON=/path/to/python3.11 scripts/bootstrap.sh
#   SKIP_DISK_CHECK=1          scripts/bootstrap.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly WANTED=3.11
# Measured: 3.6 GB of .venv with its bytecode, which on one disk shares nearly all of uv's cache by
# hard links (3.7 GB for both); archives are unpacked beside that.
readonly TOTAL_GB=5
readonly VENV_GB=4
readonly CACHE_GB=4
readonly VENV=.venv
readonly UNFINISHED=$VENV/.unfinished

# With this set (some CI images do), nothing installed gets bytecode and every start of TensorFlow
# costs 8 s more. The other two would let packages from elsewhere into the new environment.
unset PYTHONDONTWRITEBYTECODE PYTHONPATH PYTHONHOME
# uv brings root certificates of its own; a network that adds one (many offices) is known to the
# system alone.
export UV_SYSTEM_CERTS=${UV_SYSTEM_CERTS:-true}

say() { printf '==> %s\n' "$*"; }

stop() {
  printf 'bootstrap: %s\n' "$1" >&2
  shift
  (($#)) && printf '  %s\n' "$@" >&2
  exit 1
}

# The version of the Python "$1", or nothing: a pyenv shim can exist and still refuse to run.
version_of() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || true; }

check_platform() {
  local platform
  platform="$(uname -s) $(uname -m)"
  [[ $platform == 'Linux x86_64' ]] || stop \
    "requirements.lock is made for Linux on x86_64; this is $platform." \
    'Work in a Linux x86_64 container or machine (docs/dependencies.md says why).'
}

find_python() {
  local name candidate found
  if [[ -n ${PYTHON:-} ]]; then
    found=$(version_of "$PYTHON")
    [[ $found == "$WANTED" ]] || stop \
      "PYTHON=$PYTHON is not Python $WANTED (received: ${found:-it does not run})." \
      "Give the path of a Python $WANTED: make PYTHON=/path/to/python$WANTED"
    printf '%s\n' "$PYTHON"
    return
  fi
  for name in "python$WANTED" python3 python; do
    while IFS= read -r candidate; do
      # An activated .venv must not build itself.
      [[ $candidate == "$PWD/$VENV/"* ]] && continue
      if [[ $(version_of "$candidate") == "$WANTED" ]]; then
        printf '%s\n' "$candidate"
        return
      fi
    done < <(type -aP "$name")
  done
  stop "no working Python $WANTED found (tried python$WANTED, python3 and python on PATH)." \
    "The lock is for Python $WANTED only; other versions cannot resolve it. Install it:" \
    "  Debian 12, Ubuntu with deadsnakes:  apt install python$WANTED python$WANTED-venv" \
    "  uv:     uv python install $WANTED && make PYTHON=\"\$(uv python find $WANTED)\"" \
    "  pyenv:  pyenv install $WANTED && make PYTHON=\"\$(pyenv prefix $WANTED)/bin/python\""
}

# Stop when the disk under directory "$1" has less than "$2" GB free.
need_space() {
  local free_kb
  free_kb=$(df -Pk "$1" | awk 'NR == 2 {print $4}')
  ((free_kb >= $2 * 1000 * 1000)) || stop \
    "$1 has $((free_kb / 1000000)) GB free, the installation needs $2 GB there." \
    'Free some space; UV_CACHE_DIR=/other/disk moves the cache; SKIP_DISK_CHECK=1 goes on anyway.'
}

check_disk() {
  local cache=${UV_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/uv}
  while [[ ! -d $cache ]]; do cache=$(dirname "$cache"); done
  if [[ $(df -P . | tail -1) == $(df -P "$cache" | tail -1) ]]; then
    need_space "$PWD" $TOTAL_GB
  else
    need_space "$PWD" $VENV_GB
    need_space "$cache" $CACHE_GB
  fi
}

make_venv() {
  local python
  python=$(find_python)
  [[ -n ${SKIP_DISK_CHECK:-} ]] || check_disk
  "$python" -c 'import ensurepip, venv' 2>/dev/null || stop \
    "$python has no venv module." \
    "Debian and Ubuntu keep it apart: apt install python$WANTED-venv"
  say "making $VENV with $python"
  "$python" -m venv --clear "$VENV"
}

venv_is_usable() {
  [[ ! -e $UNFINISHED && $(version_of "$VENV/bin/python") == "$WANTED" ]] &&
    "$VENV/bin/python" -m pip --version >/dev/null 2>&1
}

check_platform
rm -f "$VENV/.ready"
venv_is_usable || make_venv
touch "$UNFINISHED"

uv_pin=$(awk '/^uv==/ {print $1; exit}' requirements.lock)
say "installing $uv_pin"
"$VENV/bin/python" -m pip install --quiet --disable-pip-version-check "$uv_pin"

say 'installing requirements.lock (about 1 GB to fetch the first time)'
# The lock is also the constraint for what builds its source-only packages (dill,
# google-apitools), which are pure Python: nothing here needs a compiler.
"$VENV/bin/uv" pip sync --python "$VENV/bin/python" --require-hashes --compile-bytecode \
  --build-constraints requirements.lock requirements.lock
say 'installing this project, editable'
"$VENV/bin/uv" pip install --quiet --python "$VENV/bin/python" --no-deps --no-build-isolation -e .

rm -f "$UNFINISHED"
touch "$VENV/.ready"
say "$VENV is ready"
