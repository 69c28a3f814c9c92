#!/bin/sh
# Finds a Python for setup.py; on a bare Debian or Ubuntu it installs one first.
set -eu
python=/usr/bin/python3
[ -x "$python" ] || python=$(command -v python3 || true)
if [ -z "$python" ]; then
    [ "$(id -u)" = 0 ] || { echo "setup: no python3; run: sudo apt-get install -y python3 python3-venv" >&2; exit 1; }
    echo "setup: installing python3 ..."
    apt-get update -q >/dev/null
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends python3 python3-venv >/dev/null
    python=/usr/bin/python3
fi
exec "$python" "$(dirname "$0")/setup.py"
