#!/bin/sh
# Finds a Python for setup.py; on a bare Debian or Ubuntu it installs one first.
set -eu
python=/usr/bin/python3
[ -x "$python" ] || python=$(command -v python3 || true)
if [ -z "$python" ]; then
    command="apt-get install -y --no-install-recommends python3 python3-venv"
    [ "$(id -u)" = 0 ] || { echo "setup: no python3; run: sudo $command" >&2; exit 1; }
    command -v apt-get >/dev/null || { echo "setup: no python3 and no apt-get: install Python 3.11 or newer" >&2; exit 1; }
    echo "setup: installing python3 ..."
    if ! said=$( { apt-get update -q && DEBIAN_FRONTEND=noninteractive $command -q; } 2>&1); then
        echo "setup: installing python3 failed: $(echo "$said" | grep -m 1 -E '^(W: Failed to fetch|E:)' || echo "$said" | tail -n 1)" >&2
        exit 1
    fi
    python=/usr/bin/python3
fi
exec "$python" "$(dirname "$0")/setup.py"
