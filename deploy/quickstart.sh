#!/usr/bin/env bash
# Chaperone on a fresh Debian 12: builds it, lets an agent work on a sample database through it, lets a
# person decide about what the policy holds, and tells what the audit log knows of all that.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=deploy/common.sh
. "$root/deploy/common.sh"

usage() {
    cat <<END
Usage: deploy/quickstart.sh [--keep]

Installs what is missing (Debian packages, as root or through sudo), builds Chaperone, starts a
PostgreSQL of its own with a sample shop, starts Chaperone before it, and lets an agent work through
an unmodified psql: it reads what is masked for it, is refused a DROP, and waits with a DELETE until
a person agrees. Then it tells as a story what the agent did and what the audit log says about it.
All of it lives in a temporary directory and is gone afterwards.

  --keep     stay up after the story, with commands to try; Ctrl-C ends it
  --help     this text

CHAPERONE_BIN=DIR takes the programs of a build that is there (a bazel-bin) and builds none.
END
}

keep=no
for argument in "$@"; do
    case "$argument" in
    --keep) keep=yes ;;
    -h | --help)
        usage
        exit 0
        ;;
    *)
        echo "quickstart.sh: unknown option $argument; --help lists them" >&2
        exit 2
        ;;
    esac
done

work=''
dev_pid=''
watch_pid=''
agent_pid=''
postgres_runs=no
stopped_with=130

# What is set for another database is not for this one.
unset "${!PG@}" CHAPERONE_LIBEXEC

# PostgreSQL refuses to run as root.
as_postgres() {
    if [ "$(id -u)" -eq 0 ]; then (cd / && runuser -u postgres -- "$@"); else (cd / && "$@"); fi
}

cleanup() {
    local code=$?
    trap '' INT TERM HUP
    local pid
    # Who connects goes first, so that nothing is said about a connection that was lost.
    for pid in $watch_pid $agent_pid $dev_pid; do
        kill -TERM "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    if [ "$postgres_runs" = yes ]; then
        as_postgres "$pg_bin/pg_ctl" -D "$work/pg/data" -m fast -w -s stop >/dev/null 2>&1 || true
    fi
    bazel_forget
    if [ -n "$work" ]; then
        # What went wrong is to be read afterwards; there is no password in it.
        if [ "$code" -ne 0 ] && [ "$code" -lt 128 ]; then keep_logs; fi
        rm -rf "$work"
    fi
    exit "$code"
}

keep_logs() {
    local logs
    logs=$(mktemp -d /tmp/chaperone-quickstart-logs.XXXXXX)
    cp "$work"/*.log "$work"/agent-saw "$work"/pg/log "$work"/chaperone/*.log "$logs" 2>/dev/null || true
    # None: it did not come so far.
    rmdir "$logs" 2>/dev/null || echo "The logs are in $logs: $(cd "$logs" && echo *)" >&2
}

step_number=0
step() {
    step_number=$((step_number + 1))
    printf '%s%d/7%s  %s%s%s\n' "$bold" "$step_number" "$plain" "$bold" "$*" "$plain"
}

# Below those that outgoing connections get, one of which could have it before it is used.
free_port() {
    /usr/bin/python3 - <<'END'
import random, socket
while True:
    try:
        with socket.socket() as s:
            s.bind(("127.0.0.1", random.randint(10000, 19999)))
            print(s.getsockname()[1])
            break
    except OSError:
        pass
END
}

# 6432 where nobody has it: it is what the documentation says.
agent_port() {
    if (: <>/dev/tcp/127.0.0.1/6432) 2>/dev/null; then free_port; else echo 6432; fi
}

install_packages() {
    step "Installing what is missing"
    bash "$root/deploy/install-packages.sh" "$root/deploy/packages.txt"
    # Looked for only now: the packages bring it.
    pg_bin=$(find /usr/lib/postgresql -mindepth 2 -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -n 1)
    [ -x "$pg_bin/initdb" ] || die "no PostgreSQL server in /usr/lib/postgresql"
}

build() {
    local program programs=(cli/chaperone cli/issuer/chaperone-dev-issuer sidecar/chaperone-sidecar
        controlplane/chaperone-controlplane)
    step "Building Chaperone with Bazel, from the system's libraries only"
    if [ -n "${CHAPERONE_BIN:-}" ]; then
        bin=$(cd "$CHAPERONE_BIN" 2>/dev/null && pwd) || die "CHAPERONE_BIN: there is no directory $CHAPERONE_BIN"
        for program in "${programs[@]}"; do
            [ -x "$bin/$program" ] || die "CHAPERONE_BIN: $program is missing in $bin; build it, or unset CHAPERONE_BIN"
        done
        note "taken from $bin"
        return
    fi
    bazel_remember
    bazel_progress "$work/build.log" build -c opt //cli:chaperone //cli/issuer:chaperone-dev-issuer \
        //sidecar:chaperone-sidecar //controlplane:chaperone-controlplane || {
        grep -v '^\[' "$work/build.log" | tail -n 30 >&2
        die "the build failed; build.log has all of it"
    }
    bin=$(cd "$root" && bazel info -c opt bazel-bin 2>/dev/null)
    bazel_forget
    note "chaperone, chaperone-sidecar, chaperone-controlplane, chaperone-dev-issuer"
}

random_password() { od -An -N18 -tx1 /dev/urandom | tr -d ' \n'; }

start_postgres() {
    step "Starting a PostgreSQL of its own, with a sample shop"
    local pg=$work/pg admin
    pg_port=$(free_port)
    admin=$(random_password)
    shop_password=$(random_password)
    mkdir -m 700 "$pg"
    (umask 077 && printf '%s\n' "$admin" >"$pg/pw")
    if [ "$(id -u)" -eq 0 ]; then chown -R postgres: "$pg"; fi
    as_postgres "$pg_bin/initdb" -D "$pg/data" -U postgres --pwfile "$pg/pw" -A scram-sha-256 \
        -E UTF8 --locale=C.UTF-8 --no-sync >"$work/initdb.log" 2>&1 || die "initdb failed; see initdb.log"
    rm "$pg/pw"
    as_postgres tee -a "$pg/data/postgresql.auto.conf" >/dev/null <<END
port = $pg_port
listen_addresses = '127.0.0.1'
unix_socket_directories = '$pg'
log_statement = 'all'
log_line_prefix = '%m [%p] %u@%d '
log_timezone = 'UTC'
END
    postgres_runs=yes
    as_postgres "$pg_bin/pg_ctl" -D "$pg/data" -l "$pg/log" -w -s start >"$work/pg_ctl.log" 2>&1 ||
        die "PostgreSQL did not start; see the file log"
    admin_psql=(env "PGPASSWORD=$admin" PGOPTIONS='-c log_statement=none' psql -Xq -v ON_ERROR_STOP=1
        -h 127.0.0.1 -p "$pg_port" -U postgres)
    "${admin_psql[@]}" -d postgres -c 'CREATE DATABASE shop' || die "the database shop could not be made"
    "${admin_psql[@]}" -d shop -f "$root/deploy/sample/shop.sql" || die "the sample shop could not be loaded"
    "${admin_psql[@]}" -d shop <<<"ALTER ROLE shop PASSWORD '$shop_password'" || die "no password could be set"
    # What the agent must not see: the story looks for it in everything that was recorded.
    "${admin_psql[@]}" -d shop -At -f "$root/deploy/sample/secrets.sql" >"$work/secrets" ||
        die "the shop's personal data could not be listed"
    note "127.0.0.1:$pg_port, database shop: 100 customers (names, e-mail addresses, social security"
    note "numbers) and 400 orders; it wants a password (SCRAM-SHA-256), which only Chaperone is given"
}

start_chaperone() {
    step "Starting Chaperone before it: control plane, sidecar, and an identity provider to try with"
    local ready=''
    mkfifo "$work/ready"
    "$bin/cli/chaperone" dev --dir "$work/chaperone" --listen "127.0.0.1:$(agent_port)" \
        --upstream "postgres://shop:$shop_password@127.0.0.1:$pg_port/shop" \
        --policy "$root/deploy/sample/policy.yaml" \
        --identity 'sub=support-agent-7,groups=support+agents,on_behalf_of=maria@shop.example' \
        >"$work/ready" 2>"$work/dev.log" &
    dev_pid=$!
    exec 3<"$work/ready"
    read -r -t 120 ready <&3 || true
    case "$ready" in
    'ready: '*) psql_command=${ready#ready: } ;;
    *)
        cat "$work/dev.log" >&2
        die "chaperone dev did not become ready; see dev.log, controlplane.log and sidecar.log"
        ;;
    esac
    while read -r line; do note "$line"; done <"$work/dev.log"
    note "ready: $psql_command"
}

# The agent's whole environment: where to connect, and nothing that could log in anywhere.
make_agent() {
    local port=${psql_command#* -p }
    mkdir "$work/home"
    agent=(env -i "PATH=$PATH" "HOME=$work/home" LANG=C.UTF-8 PGHOST=127.0.0.1 "PGPORT=${port%% *}"
        PGUSER=support-agent-7 PGDATABASE=shop PGAPPNAME=psql PGCONNECT_TIMEOUT=20)
}

# What the agent's psql prints, as it prints it: up to a line that begins with $1. 1: it has ended.
follow_agent() {
    local line ended=0
    while true; do
        IFS= read -r -t 60 line <&4 || ended=$?
        if [ "$ended" -gt 128 ]; then die "psql says nothing for a minute; see agent-saw and sidecar.log"; fi
        if [ "$ended" -ne 0 ]; then return 1; fi
        printf '%s\n' "$line" >>"$work/agent-saw"
        printf '%s\n' "${line:+      $line}"
        case "$line" in "${1:-$'\n'}"*) return 0 ;; esac
    done
}

approvals() { "$bin/cli/chaperone" approvals "$@" --dir "$work/chaperone"; }

let_agent_work() {
    step "An agent works on the shop, through an unmodified psql"
    make_agent
    "${agent[@]}" env >"$work/agent-env"
    echo "      \$ env | grep PG"
    grep '^PG' "$work/agent-env" | sed 's/^/      /'
    # A person looks out for what waits, before anything does. (Not by the function: a signal to that one's
    # shell would leave its child behind.)
    mkfifo "$work/watch" "$work/agent-output"
    "$bin/cli/chaperone" approvals watch --json --dir "$work/chaperone" >"$work/watch" 2>"$work/watch.log" &
    watch_pid=$!
    exec 5<"$work/watch"
    echo "      \$ psql -e <deploy/sample/agent.sql"
    "${agent[@]}" psql -X -e <"$root/deploy/sample/agent.sql" >"$work/agent-output" 2>&1 &
    agent_pid=$!
    exec 4<"$work/agent-output"
    follow_agent 'HINT:  An operator ' || die "psql came to its end and waited for nobody; see agent-saw"
    note "... and there it waits"
}

decide() {
    step "A person decides about what waits"
    local event id reason='checked with the books: nothing older is owed'
    IFS= read -r -t 60 event <&5 || die "nobody was told of what waits: $(cat "$work/watch.log")"
    id=$(/usr/bin/python3 -c 'import json, sys; print(json.loads(sys.argv[1])["id"])' "$event")
    kill -TERM "$watch_pid" 2>/dev/null || true
    wait "$watch_pid" || true
    watch_pid=''
    exec 5<&-
    # The agent has a token of its own, but no say.
    approvals approve "$id" --reason 'I agree with myself' --token-file "$work/chaperone/agent.token" \
        >"$work/own-word" 2>&1 && die "the agent could approve its own statement"
    echo "      \$ chaperone approvals show $id"
    approvals show "$id" >"$work/shown" || die "what waits could not be shown"
    sed 's/^/      /' "$work/shown"
    echo
    echo "      \$ chaperone approvals approve $id --reason '$reason'"
    approvals approve "$id" --reason "$reason" >"$work/approved" 2>&1 ||
        die "it could not be approved: $(cat "$work/approved")"
    tail -n 1 "$work/approved" | sed 's/^/      /'
    echo
    note "and the agent's psql goes on:"
    follow_agent || wait "$agent_pid" || die "psql lost its connection: $(tail -n 1 "$work/agent-saw")"
    agent_pid=''
}

# The same psql with the same environment, but past Chaperone.
try_directly() {
    "${agent[@]}" PGPORT="$pg_port" PGUSER=shop psql -X -w -c 'SELECT 1' >"$work/direct" 2>&1 &&
        die "the database let the agent in without Chaperone"
    return 0
}

tell_story() {
    step "What the audit log says about it"
    /usr/bin/python3 "$root/deploy/story.py" --chaperone "$bin/cli/chaperone" --dir "$work/chaperone" \
        --database-log "$work/pg/log" --environment "$work/agent-env" --direct "$work/direct" \
        --secrets "$work/secrets" --plain 'Grace Costa' --agent-saw "$work/agent-saw" \
        --shown "$work/shown" --own-word "$work/own-word"
}

stay() {
    mkdir "$work/bin"
    ln -s "$bin/cli/chaperone" "$work/bin/chaperone"
    stopped_with=0
    cat <<END

${bold}It stays up. In another terminal:${plain}
  export PATH=$work/bin:\$PATH DIR=$work/chaperone
  $psql_command
  $psql_command -c 'DELETE FROM orders WHERE id = 1398'   # waits
  chaperone approvals list --dir \$DIR
  chaperone approvals approve APPROVAL --reason WHY --dir \$DIR    # or: deny
  chaperone audit tail --dir \$DIR
  chaperone audit search --table customers --dir \$DIR
  chaperone session list --all --dir \$DIR
  chaperone audit show SESSION --dir \$DIR
  chaperone policy explain --as sub=a,groups=support --dir \$DIR 'DROP TABLE orders'
  chaperone --help

${bold}To stop it and remove everything:${plain} Ctrl-C here, or \`kill $$\`.
END
    wait "$dev_pid" || true
    dev_pid=''
    die "chaperone dev ended by itself; see dev.log, controlplane.log and sidecar.log"
}

trap cleanup EXIT
trap 'exit "$stopped_with"' INT TERM HUP
work=$(mktemp -d /tmp/chaperone-quickstart.XXXXXX)
# As root, the user postgres must come through to its own part.
chmod 711 "$work"
install_packages
build
start_postgres
start_chaperone
let_agent_work
decide
try_directly
tell_story
if [ "$keep" = yes ]; then stay; fi
echo
echo "Everything is stopped and removed now. With --keep it stays up, with commands to try."
