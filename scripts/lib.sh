# Functions that the scripts share: what is missing is installed from Debian's packages, or named.
#
# Sourced, never run. It changes nothing until a function is called. A service that a package brings is not started.

have() { command -v "$1" >/dev/null 2>&1; }

# need_packages PACKAGE...: installs them as root on Debian; otherwise says what to install and ends the script.
need_packages() {
    if [ $# = 0 ]; then return; fi
    if ! have apt-get; then
        echo "Missing. Debian's packages for it: $*" >&2
        exit 2
    fi
    if [ "$(id -u)" != 0 ]; then
        echo "Missing. Run: sudo apt-get install $*" >&2
        exit 2
    fi
    echo "== installing, without starting any service: $*"
    (
        # Debian starts a service as soon as it is installed, unless this file says no.
        policy=/usr/sbin/policy-rc.d
        if [ ! -e "$policy" ]; then
            trap 'rm -f "$policy"' EXIT
            printf '#!/bin/sh\nexit 101\n' >"$policy"
            chmod +x "$policy"
        fi
        export DEBIAN_FRONTEND=noninteractive
        if ! said=$({ apt-get update -qq && apt-get install -y -qq --no-install-recommends "$@"; } 2>&1); then
            printf '%s\n' "$said" >&2
            exit 2
        fi
    )
}

# built PROGRAM: the path of a program of the debug build, after building the workspace as the tests do.
built() {
    cargo build --locked --quiet --workspace --all-targets
    (cd "${CARGO_TARGET_DIR:-target}/debug" && printf '%s/%s\n' "$PWD" "$1")
}
