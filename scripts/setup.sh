#!/usr/bin/env bash
# Installs what the checkout needs on Debian 12 or Ubuntu 24.04 and nothing that is there already.
#
#   scripts/setup.sh run [test] [vm]
#
# Debian packages per group, then one Python environment in .venv, exactly as requirements.lock says. The stamp
# file in .venv is written last: an environment without it was never finished and is made again from nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH=$PATH:/usr/sbin:/sbin # dpkg and the tools live there, and an ordinary user's PATH lacks them

STAMP=.venv/.set-up-for
OLDEST_PYTHON=11 # of Python 3

say() { echo "setup: $*"; }
die() { echo "setup: $*" >&2; exit 3; }

usable_python() { "$1" -c "import sys; sys.exit(sys.version_info < (3, $OLDEST_PYTHON))" 2>/dev/null; }

choose_python() {
    local candidate
    for candidate in ${TESTBED_PYTHON:-/usr/bin/python3 python3}; do
        candidate=$(command -v "$candidate") || continue
        if usable_python "$candidate"; then
            PYTHON=$candidate
            return
        fi
    done
    die "Python 3.$OLDEST_PYTHON or newer is needed, and ${candidate:-python3} is $("${candidate:-python3}" -V 2>&1 || true);" \
        "install it, or say which one: TESTBED_PYTHON=/path/to/python3 make roam"
}

# A kernel that a virtual machine can boot, with its modules: the ones that Debian and Ubuntu install.
has_bootable_kernel() {
    local image
    for image in /boot/vmlinuz-*; do
        compgen -G "/lib/modules/${image#/boot/vmlinuz-}/kernel/net/ipv4/ipip.ko*" >/dev/null && return
    done
    return 1
}

# Names of the Debian packages of a group, one a line.
packages_of() {
    case $1 in
        run)
            printf '%s\n' mininet iproute2 bridge-utils nftables tcpdump tshark iputils-ping iperf3 ethtool kmod libbpf1
            # Debian takes ensurepip out of the standard library; other Pythons have it.
            "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null || printf '%s\n' "$(venv_package)"
            ;;
        test) printf '%s\n' clang llvm libbpf-dev procps ;;
        vm)
            [[ $(uname -m) == x86_64 ]] || die "the virtual machine is an x86-64 one, and this machine is $(uname -m)"
            printf '%s\n' qemu-system-x86 busybox-static udev
            has_bootable_kernel || kernel_package
            ;;
        *) die "unknown group of packages: $1" ;;
    esac
}

venv_package() { [[ $PYTHON == /usr/bin/* ]] && "$PYTHON" -c 'import sys; print("python3.%d-venv" % sys.version_info[1])'; }

kernel_package() { if grep -q '^ID=ubuntu' /etc/os-release; then echo linux-image-virtual; else echo linux-image-amd64; fi; }

missing_of() {
    local package
    for package; do
        # "hold ok installed" is as good as "install ok installed"
        [[ $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) == *" ok installed" ]] || echo "$package"
    done
}

as_root() {
    if [[ $(id -u) -eq 0 ]]; then "$@"; else sudo "$@"; fi
}

# The lock's descriptor is closed for apt: a service that a package starts would hold it for ever.
apt_get() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0 "$@" \
        9<&- </dev/null
}

install_packages() {
    local wanted missing
    wanted=$(for group; do packages_of "$group"; done | tr '\n' ' ')
    command -v dpkg-query >/dev/null ||
        die "only Debian and Ubuntu are set up automatically; install the equivalents of: $wanted"
    # shellcheck disable=SC2086 # one word a package
    missing=$(missing_of $wanted | tr '\n' ' ')
    missing=${missing% }
    [[ -n $missing ]] || return 0
    if [[ $(id -u) -ne 0 ]] && ! command -v sudo >/dev/null; then
        die "neither root nor sudo is here; as root, run: apt-get install --no-install-recommends $missing"
    fi
    say "installing Debian packages: $missing"
    # Finishes what an interrupted installation left half done; apt refuses to go on before that.
    as_root env DEBIAN_FRONTEND=noninteractive dpkg --configure -a 9<&- </dev/null
    apt_get update || say "not every package list could be fetched; going on with those that are here"
    # shellcheck disable=SC2086
    apt_get install -y --no-install-recommends $missing || die "apt-get could not install: $missing"
}

set_up_for() { { "$PYTHON" -V; cat requirements.lock pyproject.toml; } | sha256sum | cut -d' ' -f1; }

install_environment() {
    local key
    key=$(set_up_for)
    if [[ $(cat "$STAMP" 2>/dev/null) == "$key" ]] && .venv/bin/python -c '' 2>/dev/null; then
        return
    fi
    say "making .venv with $("$PYTHON" -V) ($PYTHON)"
    rm -rf .venv
    "$PYTHON" -m venv .venv
    # The lock is complete and every file's hash is in it, so there is nothing to resolve.
    pip install --no-deps --require-hashes -r requirements.lock
    # By a plain path: the finder that setuptools would put in costs every start of an agent 30 ms.
    pip install --no-deps --no-build-isolation --config-settings editable_mode=compat --editable .
    echo "$key" >"$STAMP.new"
    mv "$STAMP.new" "$STAMP"
    say "done"
}

pip() { .venv/bin/python -m pip --quiet --disable-pip-version-check --no-input "$@"; }

exec 9<"$0" # two set-ups at once: the second waits, then finds everything done
flock -n 9 || { say "another set-up is at work here; waiting for it" && flock 9; }
choose_python
install_packages "$@"
install_environment
