"""What the policy holds waits for people: shown to them, bound to exactly what was asked, released once."""

import json
import os
import subprocess
import threading
import time

import psycopg
import pytest
from support.manual import ControlPlane, postgres_resource, write
from support.oidc import Provider
from support.postgres import PASSWORD

CLIENTS = [{"id": "agent", "groups": ["agents", "dba"], "acts_for": "alice"},
           {"id": "alice", "groups": ["dba"]},
           {"id": "dba-1", "groups": ["dba", "security"]}, {"id": "dba-2", "groups": ["dba"]},
           {"id": "outsider", "groups": ["sales"]}, {"id": "admin", "groups": ["admins"]}]

HOLDS = {  # table: the terms of its rule
    "parcels": {}, "pairs": {"people": 2}, "exact": {"predict": "exact"},
    "reasons": {"reason": "required"}, "soon": {"expires": "10s"},
    "later": {"mode": "retry", "retry_window": "5m"},
    "often": {"standing": {"for": "1h", "uses": 2}},
    "locked": {"in_transaction": "10s"}, "wide": {"expires": "10m"},
    "stuck": {"predict": "exact", "expires": "10s"}, "jammed": {"predict": "exact"},
}


def policy():
    rules = [{"name": "reads", "effect": "allow",
              "match": {"sql": {"commands": ["read", "transaction", "session", "insert"]}}}]
    for table, terms in HOLDS.items():
        rules.append({"name": f"hold-{table}", "effect": "hold",
                      "match": {"sql": {"commands": ["UPDATE", "DELETE"],
                                        "tables": [f"public.{table}"]}},
                      "hold": {"approvers": {"groups": ["dba", "security"]}, **terms}})
    return {"version": 1, "rules": rules}


@pytest.fixture(scope="module")
def provider():
    running = Provider(CLIENTS)
    yield running
    running.close()


class Fleet(ControlPlane):
    def __init__(self, provider, postgres):
        resources, credentials = postgres_resource(postgres)
        super().__init__({
            "identity_providers": [{"name": "p", "issuer": provider.issuer,
                                    "audience": provider.resource}],
            "roles": {"admin": ["admins"], "approver": ["dba", "security"], "auditor": ["admins"]},
            "credentials": credentials, "resources": resources,
            "grants": [{"name": "agents", "resources": ["*"], "groups": ["agents"]}],
        }, operator_token=provider.token("admin"), env={"TARGET_PASSWORD": PASSWORD})
        self.tokens = {c["id"]: write(os.path.join(self.dir, c["id"] + ".token"),
                                      provider.token(c["id"])) for c in CLIENTS}
        self.push(policy())
        self.agent = self.sidecar(["db"], {"token_file": self.tokens["agent"]})

    def as_person(self, who, *args):
        return self.chaperone_as(self.tokens[who], "approvals", *args)

    def decide(self, who, what, approval, *more):
        done = self.as_person(who, what, approval, "--reason", f"says {who}", "--json", *more)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def show(self, approval):
        return json.loads(self.chaperone("approvals", "show", approval, "--json").stdout)

    def awaited(self, text):
        """The approval that waits for the statement with this in it."""
        return self.approval_awaited(text, self.tokens["dba-1"])

    def asked(self, text):
        """The id of the approval that this statement needs, however short people may decide about it."""
        return self.wait_for(lambda r: r["kind"] == "intent" and r["text"] == text)["approval"]

    def became(self, approval, state):
        """Waits until it has ended so."""
        return self.wait_for(lambda r: r["kind"] == "approval" and r["state"] == state
                             and r["approval"] == approval)


@pytest.fixture(scope="module")
def fleet(provider, postgres):
    for table in HOLDS:
        postgres.psql(f"DROP TABLE IF EXISTS {table}; CREATE TABLE {table} (id int PRIMARY KEY, note text);"
                      f" INSERT INTO {table} SELECT g, 'n' || g FROM generate_series(1, 100) g;"
                      f" ANALYZE {table}")
    running = Fleet(provider, postgres)
    yield running
    running.close()


class Asking(threading.Thread):
    """A statement that waits, in a session of its own: `rows`, or `error`."""

    def __init__(self, fleet, text, values=None, before=(), **options):
        super().__init__(daemon=True)
        self.text, self.values, self.rows, self.error, self.notices = text, values, None, None, []
        self.c = psycopg.connect(fleet.agent.dsn(application_name="asking"), autocommit=True, **options)
        self.c.add_notice_handler(lambda d: self.notices.append((d.message_primary, d.message_detail)))
        for statement in before:
            self.c.execute(statement)
        self.start()

    def run(self):
        try:
            self.rows = self.c.execute(self.text, self.values).rowcount
        except psycopg.Error as e:
            self.error = e

    def done(self):
        self.join(90)
        assert not self.is_alive(), "it still waits"
        return self

    def goes_on(self):
        assert self.c.execute("SELECT 7").fetchone() == (7,)
        self.c.close()


def count(postgres, table, where="true"):
    return int(postgres.psql(f"SELECT count(*) FROM {table} WHERE {where}"))


def test_psql_waits_and_is_released(fleet, postgres):
    psql = subprocess.Popen(["psql", "-X", "-c", "DELETE FROM parcels WHERE id <= 3"],
                            env=fleet.agent.env(PGAPPNAME="reason: old parcels"), stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)
    with psql:
        notice = psql.stderr.readline()
        assert notice.startswith("NOTICE:  the statement waits for approval by one of dba, security")
        held = fleet.awaited("DELETE FROM parcels WHERE id <= 3")
        assert held["id"] in psql.stderr.readline()
        assert count(postgres, "parcels") == 100
        shown = fleet.as_person("dba-1", "show", held["id"]).stdout
        for part in ("DELETE FROM parcels WHERE id <= 3", "agent", "alice", "hold-parcels",
                     "Delete on parcels", "old parcels"):
            assert part in shown, shown
        fleet.decide("dba-1", "approve", held["id"])
        assert psql.communicate(timeout=60)[0] == "DELETE 3\n"
    assert count(postgres, "parcels") == 97
    fleet.became(held["id"], "approved")
    outcome = fleet.wait_for(lambda r: r["kind"] == "outcome" and r.get("approval") == held["id"])
    assert (outcome["status"], outcome["rows"]) == ("success", 3)
    session = fleet.chaperone("audit", "show", outcome["session"]).stdout
    for part in ("hold by rule hold-parcels", held["id"], "dba-1", "says dba-1", "DELETE 3"):
        assert part in session, session
    again = fleet.as_person("dba-2", "approve", held["id"], "--reason", "me too")
    assert again.returncode != 0


def test_denied_and_the_session_goes_on(fleet, postgres):
    asking = Asking(fleet, "DELETE FROM parcels WHERE id = 50")
    held = fleet.awaited("id = 50")
    fleet.decide("dba-2", "deny", held["id"])
    error = asking.done().error
    assert isinstance(error, psycopg.errors.InsufficientPrivilege)
    assert "denied by dba-2: says dba-2" in str(error) and held["id"] in error.diag.message_detail
    asking.goes_on()
    assert count(postgres, "parcels", "id = 50") == 1
    fleet.became(held["id"], "denied")


@pytest.mark.parametrize("options", [{}, {"prepare_threshold": 0}])
def test_values_are_shown_and_part_of_what_is_approved(fleet, postgres, options):
    asking = Asking(fleet, "UPDATE parcels SET note = %s WHERE id = %s", ("brought", 60), **options)
    held = fleet.awaited("UPDATE parcels SET note")
    assert [p["value"] for p in held["parameters"]] == ["brought", "60"]
    assert held["prediction"]["estimated_rows"] == 1
    fleet.decide("dba-1", "approve", held["id"])
    assert asking.done().rows == 1, asking.error
    asking.goes_on()
    assert count(postgres, "parcels", "note = 'brought'") == 1
    postgres.psql("UPDATE parcels SET note = 'n60' WHERE id = 60")


def test_who_may_decide(fleet, postgres):
    asking = Asking(fleet, "DELETE FROM pairs WHERE id = 1")
    held = fleet.awaited("DELETE FROM pairs")
    for who, why in (("agent", "excludes who asks"), ("alice", "excludes who asks"),
                     ("outsider", "")):
        refused = fleet.as_person(who, "approve", held["id"], "--reason", "x")
        assert refused.returncode != 0 and why in refused.stderr, refused.stderr
    fleet.decide("dba-1", "approve", held["id"])
    twice = fleet.as_person("dba-1", "approve", held["id"], "--reason", "x")
    assert fleet.show(held["id"])["state"] == "waiting", twice.stdout
    assert count(postgres, "pairs") == 100 and asking.is_alive()
    fleet.decide("dba-2", "approve", held["id"])
    assert asking.done().rows == 1, asking.error
    asking.goes_on()


def test_a_reason_may_be_required(fleet):
    asking = Asking(fleet, "DELETE FROM reasons WHERE id = 1")
    held = fleet.awaited("DELETE FROM reasons")
    silent = fleet.as_person("dba-1", "approve", held["id"])
    assert silent.returncode != 0 and "reason" in silent.stderr
    fleet.decide("dba-1", "deny", held["id"])
    assert asking.done().error is not None
    asking.goes_on()


def test_the_exact_count_of_a_dry_run(fleet, postgres):
    asking = Asking(fleet, "DELETE FROM exact WHERE id % 10 = 0")
    held = fleet.awaited("DELETE FROM exact")
    assert held["prediction"]["exact_rows"] == 10 and count(postgres, "exact") == 100
    fleet.decide("dba-1", "approve", held["id"])
    assert asking.done().rows == 10
    outcome = fleet.wait_for(lambda r: r["kind"] == "outcome" and r.get("approval") == held["id"])
    assert (outcome["predicted_rows"], outcome["rows"]) == (10, 10)
    asking.goes_on()


@pytest.fixture
def lock(postgres):
    """Somebody else's transaction, that has changed the first row of stuck and of jammed."""
    with psycopg.connect(postgres.url()) as c:
        c.execute("UPDATE stuck SET note = note WHERE id = 1")
        c.execute("UPDATE jammed SET note = note WHERE id = 1")
        yield c
        c.rollback()


def waits_for_lock(postgres, table):
    return int(postgres.psql("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                             f" AND query LIKE '%DELETE FROM {table}%' AND pid <> pg_backend_pid()"))


def test_a_dry_run_that_is_stuck_ends_with_its_time(fleet, postgres, lock):
    asking = Asking(fleet, "DELETE FROM stuck WHERE id = 1")
    assert "nobody decided in time" in str(asking.done().error)
    assert waits_for_lock(postgres, "stuck") == 0
    asking.goes_on()
    lock.rollback()
    assert count(postgres, "stuck") == 100


def test_a_dry_run_that_is_stuck_is_cancelled(fleet, postgres, lock):
    asking = Asking(fleet, "DELETE FROM jammed WHERE id = 1")
    end = time.monotonic() + 60
    while waits_for_lock(postgres, "jammed") == 0:
        assert time.monotonic() < end and asking.is_alive(), asking.error
        time.sleep(0.05)
    asking.c.cancel()
    assert isinstance(asking.done().error, psycopg.errors.QueryCanceled)
    assert asking.c.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    asking.goes_on()
    lock.rollback()
    assert count(postgres, "jammed") == 100


def test_several_in_one_pipeline(fleet, postgres):
    """Each is decided by itself, and each outcome names its own approval."""
    with psycopg.connect(fleet.agent.dsn(), autocommit=True) as c, c.pipeline():
        first = c.execute("DELETE FROM wide WHERE id = 90")
        second = c.execute("DELETE FROM wide WHERE id = 91")
        reading = c.execute("SELECT 1")
        ids = []
        for text in ("id = 90", "id = 91"):
            held = fleet.awaited(text)
            fleet.decide("dba-1", "approve", held["id"])
            ids.append(held["id"])
        assert reading.fetchone() == (1,)
        assert (first.rowcount, second.rowcount) == (1, 1)
    for approval in ids:
        outcome = fleet.wait_for(lambda r, a=approval: r["kind"] == "outcome" and r.get("approval") == a)
        assert (outcome["status"], outcome["rows"]) == ("success", 1)
    assert count(postgres, "wide", "id IN (90, 91)") == 0
    postgres.psql("INSERT INTO wide VALUES (90, 'n90'), (91, 'n91')")


@pytest.mark.parametrize("before", [[], ["BEGIN"]])
def test_a_plan_changes_nothing(fleet, postgres, before):
    """The planner calls functions that say that they are stable: they may do anything."""
    postgres.psql("CREATE OR REPLACE FUNCTION wipes(n int) RETURNS int LANGUAGE plpgsql VOLATILE AS"
                  " $$ BEGIN DELETE FROM wide WHERE id = n; RETURN n; END $$;"
                  " CREATE OR REPLACE FUNCTION says_stable(n int) RETURNS int LANGUAGE plpgsql STABLE AS"
                  " $$ BEGIN RETURN wipes(n); END $$")
    asking = Asking(fleet, "DELETE FROM wide WHERE id = says_stable(45)", before=before)
    held = fleet.awaited("says_stable")
    assert count(postgres, "wide", "id = 45") == 1
    fleet.decide("dba-1", "deny", held["id"])
    assert asking.done().error is not None
    if before:
        asking.c.execute("ROLLBACK")
    asking.goes_on()
    assert count(postgres, "wide", "id = 45") == 1


def test_nobody_decides(fleet, postgres):
    asking = Asking(fleet, "DELETE FROM soon WHERE id = 1")
    approval = fleet.asked(asking.text)
    assert "nobody decided in time" in str(asking.done().error)
    fleet.became(approval, "expired")
    late = fleet.as_person("dba-1", "approve", approval, "--reason", "late")
    assert late.returncode == 1 and "does not wait any more" in late.stderr, late.stderr
    asking.goes_on()
    assert count(postgres, "soon") == 100


def test_in_a_transaction_locks_are_shown_and_less_time_is_given(fleet, postgres):
    asking = Asking(fleet, "DELETE FROM locked WHERE id = 1",
                    before=["BEGIN", "INSERT INTO locked VALUES (1000, 'mine')"])
    assert "nobody decided in the time that an open transaction may wait" in str(asking.done().error)
    assert "RowExclusiveLock on public.locked" in fleet.show(fleet.asked(asking.text))["locks"]
    # As after any error of a statement: the transaction has to be rolled back... by who began it.
    with pytest.raises(psycopg.errors.InFailedSqlTransaction):
        asking.c.execute("SELECT 1")
    asking.c.execute("ROLLBACK")
    asking.goes_on()
    assert count(postgres, "locked") == 100


def test_released_in_a_transaction(fleet, postgres):
    asking = Asking(fleet, "DELETE FROM wide WHERE id = 1",
                    before=["BEGIN", "INSERT INTO wide VALUES (1000, 'mine')"])
    held = fleet.awaited("DELETE FROM wide")
    fleet.decide("dba-1", "approve", held["id"])
    assert asking.done().rows == 1, asking.error
    asking.c.execute("COMMIT")
    asking.goes_on()
    assert count(postgres, "wide") == 100 and count(postgres, "wide", "id = 1000") == 1


def test_cancelled(fleet, postgres):
    asking = Asking(fleet, "DELETE FROM parcels WHERE id = 70")
    held = fleet.awaited("id = 70")
    asking.c.cancel()
    assert isinstance(asking.done().error, psycopg.errors.QueryCanceled)
    asking.goes_on()
    fleet.became(held["id"], "withdrawn")
    assert fleet.as_person("dba-1", "approve", held["id"], "--reason", "x").returncode != 0
    assert count(postgres, "parcels", "id = 70") == 1


def test_the_agent_goes_away(fleet, postgres):
    asking = Asking(fleet, "DELETE FROM parcels WHERE id = 71")
    held = fleet.awaited("id = 71")
    asking.c.pgconn.finish()
    fleet.became(held["id"], "withdrawn")
    late = fleet.as_person("dba-1", "approve", held["id"], "--reason", "x")
    assert late.returncode != 0
    assert count(postgres, "parcels", "id = 71") == 1


def test_the_policy_denies_it_meanwhile(fleet, postgres):
    asking = Asking(fleet, "DELETE FROM wide WHERE id = 20")
    held = fleet.awaited("DELETE FROM wide WHERE id = 20")
    denying = policy()
    denying["rules"].append({"name": "freeze", "effect": "deny", "message": "Nothing is deleted today.",
                             "match": {"sql": {"commands": ["DELETE"]}}})
    fleet.push(denying)
    try:
        error = asking.done().error
        assert "Nothing is deleted today." in str(error)
        fleet.became(held["id"], "withdrawn")
        asking.goes_on()
    finally:
        fleet.push(policy())
    assert count(postgres, "wide", "id = 20") == 1


def test_the_agent_comes_again(fleet, postgres):
    with psycopg.connect(fleet.agent.dsn(), autocommit=True) as c:
        with pytest.raises(psycopg.errors.InsufficientPrivilege) as first:
            c.execute("DELETE FROM later WHERE id = 1")
        approval = first.value.diag.message_detail.split()[1].rstrip(".")
        assert "run it again" in str(first.value)
        with pytest.raises(psycopg.errors.InsufficientPrivilege) as second:
            c.execute("DELETE FROM later WHERE id = 1")
        assert approval in second.value.diag.message_detail
        fleet.decide("dba-1", "approve", approval)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            c.execute("DELETE FROM later WHERE id = 2")  # other bytes
        assert c.execute("DELETE FROM later WHERE id = 1").rowcount == 1
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            c.execute("DELETE FROM later WHERE id = 1")  # used
    assert count(postgres, "later") == 99


def test_a_standing_approval(fleet, postgres):
    asking = Asking(fleet, "DELETE FROM often WHERE id = 1")
    held = fleet.awaited("DELETE FROM often")
    fleet.decide("dba-1", "approve", held["id"], "--standing-for", "30m", "--standing-uses", "2")
    assert asking.done().rows == 1, asking.error
    assert asking.c.execute("DELETE FROM often WHERE id = 2").rowcount == 1
    assert asking.c.execute("DELETE FROM often WHERE id = 3").rowcount == 1
    asking.goes_on()
    other = Asking(fleet, "DELETE FROM often WHERE id > 90")  # another shape
    fleet.decide("dba-1", "deny", fleet.awaited("id > 90")["id"])
    assert other.done().error is not None
    other.goes_on()
    third = Asking(fleet, "DELETE FROM often WHERE id = 4")  # used up
    fleet.decide("dba-1", "deny", fleet.awaited("id = 4")["id"])
    assert third.done().error is not None
    third.goes_on()
    assert count(postgres, "often") == 97


def test_the_control_plane_restarts_meanwhile(fleet, postgres):
    asking = Asking(fleet, "DELETE FROM wide WHERE id = 30")
    held = fleet.awaited("DELETE FROM wide WHERE id = 30")
    fleet.part.kill()
    fleet.start()
    fleet.decide("dba-1", "approve", held["id"])
    assert asking.done().rows == 1, asking.error
    asking.goes_on()
    assert count(postgres, "wide", "id = 30") == 0


def test_the_sidecar_dies_meanwhile(fleet, postgres):
    asking = Asking(fleet, "DELETE FROM wide WHERE id = 40")
    held = fleet.awaited("DELETE FROM wide WHERE id = 40")
    fleet.agent.part.kill()
    assert isinstance(asking.done().error, psycopg.OperationalError)
    fleet.agent.start()
    # What it had recorded is shipped before what it records now.
    fleet.agent.psql("-c", "SELECT 'it is back'")
    fleet.outcome_of("SELECT 'it is back'")
    (intent,) = [r for r in fleet.search() if r["kind"] == "intent" and r.get("text") == asking.text]
    assert intent["verdict"] == "hold" and intent["approval"] == held["id"]
    of_it = [r for r in fleet.search("--session", intent["session"])]
    assert not [r for r in of_it if r["kind"] == "outcome" and r["operation"] == intent["operation"]]
    assert not [r for r in of_it if r["kind"] == "approval" and r.get("state") == "approved"]
    assert count(postgres, "wide", "id = 40") == 1


def test_what_cannot_wait_is_refused(fleet, postgres):
    with psycopg.connect(fleet.agent.dsn(), autocommit=True) as c:
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="cannot wait"):
            c.execute("UPDATE parcels SET note = %s WHERE id = 80", ("x" * 200000,))
        assert c.execute("SELECT 1").fetchone() == (1,)
    assert count(postgres, "parcels", "length(note) > 1000") == 0


def test_many_wait_at_once(fleet, postgres):
    asking = [Asking(fleet, f"UPDATE wide SET note = 'many' WHERE id = {50 + n} AND {n} = {n}")
              for n in range(40)]
    seen = {}
    for one in asking:
        seen[one] = fleet.awaited(one.text)
    for n, one in enumerate(asking):
        fleet.decide("dba-1", "approve" if n % 2 else "deny", seen[one]["id"])
    for n, one in enumerate(asking):
        assert (one.done().rows == 1) == bool(n % 2), one.error
        one.goes_on()
    assert count(postgres, "wide", "note = 'many'") == 20
