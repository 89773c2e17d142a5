# What every script here begins with: build, start the crowd and the gateway as a real process with a key
# of its own, end all of it. Sourced, not run. The load and the crowd share one core, what is measured has the
# other.
#
# Reads SERVER_CORE (0), LOAD_CORE (1) and SKIP_BUILD.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

SERVER_CORE=${SERVER_CORE:-0}
LOAD_CORE=${LOAD_CORE:-1}
bin=target/release
started=()

die() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }

folder=$(mktemp -d "${TMPDIR:-/tmp}/caller-context-load.XXXXXX")
stop_all() {
    local pid
    for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${started[@]}"; do wait "$pid" 2>/dev/null || true; done
    rm -rf "$folder"
}
trap stop_all EXIT

build() {
    [[ -n "${SKIP_BUILD:-}" ]] || cargo build --release -p caller-context -p caller-context-loadtest --bins
    (( $(nproc) > 1 )) || die "one core for the load and one for what is measured are needed"
}

# Below the range the system gives to outgoing connections, so that nothing takes it meanwhile.
free_port() {
    local port
    for _ in {1..200}; do
        port=$(( 20000 + RANDOM % 12000 ))
        if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then echo "$port"; return; fi
    done
    die "no free port"
}

# wait_for <pid> <port>: until it listens
wait_for() {
    for _ in {1..1200}; do
        if (exec 3<>"/dev/tcp/127.0.0.1/$2") 2>/dev/null; then return; fi
        kill -0 "$1" 2>/dev/null || break
        sleep 0.05
    done
    die "a server did not start: $(tail -n 5 "$folder/last.log")"
}

# on_core <core> <command...>: starts it; its id is in $!
on_core() {
    local core=$1
    shift
    taskset -c "$core" "$@" >"$folder/last.log" 2>&1 &
    started+=("$!")
}

# The crowd, at $crowd; options go to it.
start_crowd() {
    crowd=127.0.0.1:$(free_port)
    on_core "$LOAD_CORE" "$bin/crowd" --listen "$crowd" "$@"
    wait_for "$!" "${crowd##*:}"
}

# The gateway, at $gateway with process $gateway_pid, and the key $key; variables may be set before. GATEWAY_UNDER is
# a command to run it under.
start_gateway() {
    gateway=127.0.0.1:$(free_port)
    export CROWD_URL="http://$crowd" CALLER_CONTEXT_CONFIG=loadtest/gateway.toml
    export CALLER_CONTEXT__SERVER__LISTEN="$gateway"
    export CALLER_CONTEXT__STORE__URL="sqlite:$folder/store.db" CALLER_CONTEXT__STORE__KEY_FILE="$folder/store.key"
    [[ -n "${key:-}" ]] || key=$("$bin/caller-context" keys new --view studio 2>/dev/null)
    on_core "$SERVER_CORE" ${GATEWAY_UNDER:-} "$bin/caller-context" serve
    gateway_pid=$!
    wait_for "$gateway_pid" "${gateway##*:}"
}

# stop <pid>
stop() {
    kill "$1"
    wait "$1" 2>/dev/null || true
}

# What every server here is asked.
question() { echo "http://$1/api/studio/context?From=%2B{digits}&CallSid=CA{digits}"; }

# load <address or URL> <options...>: one line of JSON
load() {
    local url=$1
    shift
    [[ "$url" == http* ]] || url=$(question "$url")
    taskset -c "$LOAD_CORE" "$bin/load" "$url" --key "${key:-none}" --json "$@"
}

# cold <how many>: numbers that nobody asked about yet begin at $first
first=0
used=1000
cold() {
    first=$used
    used=$((used + $1))
    (( used <= 1000000 )) || die "the run is too long: there are a million numbers"
}

# field <name> <json>: a number out of a line of JSON
field() { sed -E "s/.*\"$1\":([0-9.]+).*/\1/" <<<"$2"; }

# calls_of <source>: how often the crowd was asked; `bytes`: what it sent
calls_of() { field "$1" "$(curl -fsS "http://$crowd/calls")"; }

# metric <name with labels>: a figure of the gateway
metric() { curl -fsS "http://$gateway/metrics" | awk -v name="$1" '$1 == name { print $2 }'; }

# rss: what the gateway occupies, in KiB
rss() { awk '/^VmRSS/ { print $2 }' "/proc/$gateway_pid/status"; }

# Rounds are kept as lines of JSON in $folder/<name>.rounds.
# column <field> <name>: that number of every round
column() { while read -r line; do field "$1" "$line"; done <"$folder/$2.rounds"; }
# middle <field> <name>: its median over the rounds
middle() { column "$1" "$2" | median; }
errors() { column errors "$1" | awk '{ sum += $1 } END { print sum }'; }

# median: of the numbers on standard input
median() { sort -g | awk '{ all[NR] = $1 } END { print NR % 2 ? all[(NR + 1) / 2] : (all[NR / 2] + all[NR / 2 + 1]) / 2 }'; }

# calc <expression>
calc() { awk "BEGIN { print $1 }"; }

# The machine that the figures belong to.
machine() {
    printf '%s, %d cores, Linux %s, load %s\n\n' "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)" \
        "$(nproc)" "$(uname -r)" "$(cut -d ' ' -f 1 /proc/loadavg)"
}
