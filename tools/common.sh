# Shared by the scripts in this folder; source it, do not run it.

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

# Prints a command as one could type it, then runs it.
run() {
    printf '+ %s\n' "$(printf '%q ' "$@" | sed 's/ $//')" >&2
    "$@"
}

fail() {
    printf '%s: %s\n' "tools/$(basename "$0")" "$1" >&2
    exit "${2:-1}"
}

misuse() {
    fail "there is no option $1; see tools/$(basename "$0") --help" 2
}

# The same as root: directly, or through sudo.
run_as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        run "$@"
    elif command -v sudo >/dev/null; then
        run sudo "$@"
    else
        fail "\"$*\" needs root, and there is no sudo here; run it as root"
    fi
}

# Leaves the lines of a list of packages that are not installed.
missing_packages() {
    local package
    for package in "$@"; do
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
            printf '%s\n' "$package"
    done
}
