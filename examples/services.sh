# Starts the services of an example, waits for what they say, and ends them all. Each start.sh
# sources it. With `up` as its argument, a start script keeps the services running until Ctrl-C.
#
# LOGS: a directory that keeps what the services wrote; by default it is lost at the end.
# PIN: another pin than the receiver's, to see a refusal.

set -euo pipefail

work=$(mktemp -d)
logs=${LOGS:-$work}
patience=120 # seconds, for a slow machine
services=()
declare -A pids

# need PROGRAM…: fails if a program is missing.
need() {
    local program
    for program in "$@"; do
        command -v "$program" >/dev/null ||
            fail "$program is missing: see the README of this example"
    done
}

# certificates: makes a private CA for tests in $work/pki, with an identity for the sender in $work
# and a certificate for the receiver, and puts the pin of the latter into $pin.
certificates() {
    webhook-mtls lab init "$work/pki" >/dev/null
    webhook-mtls lab issue "$work/pki" sender --uri spiffe://lab.test/tenant/shop >/dev/null
    webhook-mtls lab issue "$work/pki" receiver --server --dns localhost --ip 127.0.0.1 >/dev/null
    pin=$(webhook-mtls inspect --json "$work/pki/receiver.crt")
    pin=${pin#*'"spki_pin":"'}
    pin=${PIN:-${pin%%'"'*}}
    cp "$work/pki/sender.crt" "$work/tls.crt"
    cp "$work/pki/sender.key" "$work/tls.key"
    cp "$work/pki/ca.pem" "$work/pki/intermediate.pem" "$work"
}

# start NAME COMMAND…: starts a service.
start() {
    local name=$1
    shift
    # A session of its own: Ctrl-C reaches only the script, which then ends the services in order.
    setsid "$@" >"$logs/$name.log" 2>&1 </dev/null &
    pids[$name]=$!
    disown # the shell does not report its end
    services+=("$name")
}

# redis: starts a Redis of our own on the Unix socket $REDIS_SOCKET, which stores what it confirms.
redis() {
    export REDIS_SOCKET=$work/redis.sock
    start redis redis-server --port 0 --unixsocket "$REDIS_SOCKET" --dir "$work" --save '' \
        --appendonly yes --appendfsync always
    said redis 'ready to accept connections'
}

# said NAME PATTERN: waits until a service has written a line that matches, shows the match, and
# puts it into $match.
said() {
    local name=$1 pattern=$2 end=$((SECONDS + patience)) ended=
    until match=$(grep -m 1 -oE -e "$pattern" "$logs/$name.log"); do
        [[ -z $ended ]] || fail "$name has ended"
        ((SECONDS < end)) || fail "$name has not written \"$pattern\" within $patience seconds"
        # What it wrote before its end still counts.
        runs "$name" || ended=yes
        sleep 0.1
    done
    match=${match%% }
    show "$name" "$match"
}

# runs NAME: succeeds if a service runs.
runs() {
    kill -0 "${pids[$1]}" 2>/dev/null
}

# show NAME TEXT: shows a line.
show() {
    printf '%-10s %s\n' "$1" "$2"
}

# post_an_event URL: posts an event to the service `sender`, and waits until the sender knows what
# became of it.
post_an_event() {
    local taken id state
    taken=$(curl -sSf --max-time 60 --json '{"event":"invoice.paid","number":1}' "$1")
    show sender "$taken"
    id=$(grep -oE 'evt_[0-9a-f]+' <<<"$taken")
    while state=$(curl -sSf --max-time 60 "$1/$id") && [[ $state == *waiting* ]]; do sleep 0.1; done
    show sender "$state"
    [[ $state == *delivered* ]] || fail 'the event was not delivered'
    said receiver "$id from .*"
}

# finish TEXT: ends the example with its result, or waits for Ctrl-C.
finish() {
    local name
    printf '\n%s\n' "$1"
    [[ $mode == up ]] || return 0
    echo 'The services run until Ctrl-C.'
    while sleep 1; do
        for name in "${services[@]}"; do runs "$name" || fail "$name has ended"; done
    done
}

# fail TEXT: shows the last lines of each service, and ends the example.
fail() {
    local name
    for name in "${services[@]}"; do
        printf -- '--- %s\n' "$name"
        tail -n 20 "$logs/$name.log"
    done
    printf 'failed: %s\n' "$1"
    exit 1
} >&2

# Ends a service as an operator does, and by force if it takes too long.
stop() {
    local pid=${pids[$1]} tenths=0
    kill -TERM "$pid" 2>/dev/null || true
    while runs "$1" && ((tenths++ < 300)); do sleep 0.1; done
    if runs "$1"; then show "$1" 'did not end within 30 seconds, and was killed'; fi
    kill -KILL -- "-$pid" 2>/dev/null || true # what is left of its session
}

# Ends all services, the last one first.
end_all() {
    local code=$? at
    trap - EXIT
    trap '' INT TERM
    for ((at = ${#services[@]} - 1; at >= 0; at--)); do stop "${services[at]}"; done
    # A process that ends may write once more.
    rm -rf "$work" || { sleep 1 && rm -rf "$work"; }
    exit "$code"
}
trap end_all EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
mode=${1:-}
