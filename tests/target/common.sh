# Shared by the scripts in this folder; source it, do not run it.

TARGET=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
TOP=$(cd "$TARGET/../.." && pwd)
CACHE=${SKYLANE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/skylane}
SUITE=trixie
KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

fail() {
    printf '%s: %s\n' "tests/target/$(basename "$0")" "$1" >&2
    exit "${2:-1}"
}

misuse() {
    fail "$1; see tests/target/$(basename "$0") --help" 2
}

need() {
    local command
    for command in "$@"; do
        command -v "$command" >/dev/null ||
            fail "there is no $command; install what is missing with: tools/setup --target"
    done
}

# Prints what is done, does it, and prints how long it took: step WORDS COMMAND ARGS
step() {
    local words=$1 began=$EPOCHREALTIME
    shift
    local code=0
    "$@" || code=$?
    awk -v a="$began" -v b="$EPOCHREALTIME" -v words="$words" \
        'BEGIN { printf "target: %-44s %6.1f s\n", words, b - a }' >&2
    return "$code"
}

# Where this machine gets Debian from, one "URI SUITE" a line, for the suite that
# the target runs. apt itself reads its sources, of whichever format.
mirrors() {
    local label main security
    label='$(ORIGIN)|$(LABEL)|$(REPO_URI)'
    main=$(apt-get indextargets --format "$label" 'Created-By: Packages' |
        awk -F '|' '$1 == "Debian" && $2 == "Debian" { print $3; exit }')
    security=$(apt-get indextargets --format "$label" 'Created-By: Packages' |
        awk -F '|' '$1 == "Debian" && $2 == "Debian-Security" { print $3; exit }')
    [ -n "$main" ] || fail "apt knows no mirror of Debian here; add one to its sources and run: apt-get update"
    printf '%s %s\n%s %s-updates\n' "$main" $SUITE "$main" $SUITE
    [ -z "$security" ] || printf '%s %s-security\n' "$security" $SUITE
}

# The same as lines of a sources.list, verified with Debian's keys.
sources() {
    local uri suite
    while read -r uri suite; do
        printf 'deb [signed-by=%s] %s %s main\n' "$KEYRING" "$uri" "$suite"
    done < <(mirrors)
}

# apt for the target's suite: its lists lie in the cache, and nothing of it
# touches this machine's own packages. The lists are renewed once a day. From here
# to its end a script has the cache to itself: others of its name wait.
target_apt() {
    mkdir -p "$CACHE"
    exec 9>"$CACHE/$(basename "$0").lock"
    flock 9
    local apt=$CACHE/apt
    local lines
    unset APT_CONFIG
    lines=$(sources)
    mkdir -p "$apt"/{lists/partial,archives/partial,preferences.d,apt.conf.d,sources.list.d}
    touch "$apt/status"
    cat >"$apt/apt.conf" <<-END
	Dir::Etc "$apt";
	Dir::State "$apt";
	Dir::State::status "$apt/status";
	Dir::Cache "$apt";
	APT::Architecture "arm64";
	APT::Architectures { "arm64"; "amd64"; };
	APT::Install-Recommends "false";
	APT::Sandbox::User "";
	Acquire::Languages "none";
	END
    if [ "$lines" != "$(cat "$apt/sources.list" 2>/dev/null)" ] ||
        [ -z "$(find "$apt/updated" -mtime -1 2>/dev/null)" ]; then
        printf '%s\n' "$lines" >"$apt/sources.list"
        APT_CONFIG=$apt/apt.conf apt-get update -q >"$apt/update.log" 2>&1 ||
            { cat "$apt/update.log" >&2; fail "Debian's lists of packages could not be read (above). If a key is missing, upgrade the package debian-archive-keyring, which brings it verified by the keys that are here"
        }
        touch "$apt/updated"
    fi
    export APT_CONFIG=$apt/apt.conf
}

# What apt would install now, with versions, for a list of packages.
versions_of() {
    apt-get install -s -q "$@" | awk '/^Inst/ { print $2, $3 }' | sort
}

hash_of() {
    sha256sum | cut -c 1-16
}

# To ask apt takes seconds. While its lists and these scripts are the same, the
# answer is: known KIND prints the folder, and remember KIND FOLDER keeps it.
now_of() {
    { cat "$TARGET"/{common.sh,sysroot,machine,i2c_faults.h} && stat -c %Y "$CACHE/apt/updated"; } | hash_of
}

known() {
    local recipe folder
    [ -n "$(find "$CACHE/apt/updated" -mtime -1 2>/dev/null)" ] || return 1
    read -r recipe folder 2>/dev/null <"$CACHE/$1.known" || return 1
    [ "$recipe" = "$(now_of)" ] && [ -d "$folder" ] || return 1
    echo "$folder"
}

remember() {
    touch "$2" # the newest is the one in use
    echo "$(now_of) $2" >"$CACHE/$1.known"
    echo "$2"
}

# Takes a finished folder to its place in the cache. What was interrupted has
# another name, and is removed by the next one who builds the same.
keep() {
    mv -T "$1" "$2"
}
