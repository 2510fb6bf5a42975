"""Fixtures: one PostgreSQL for all tests, one stack for those that do not break it."""

import contextlib
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from support.http_fixtures import *  # noqa: E402,F401,F403  pylint: disable=wildcard-import,unused-wildcard-import
from support.oidc import Provider  # noqa: E402
from support.parts import Parts  # noqa: E402
from support.postgres import Postgres  # noqa: E402
from support.stack import Stack  # noqa: E402


@pytest.fixture(scope="session")
def postgres():
    server = Postgres()
    server.psql("CREATE TABLE customers (id int PRIMARY KEY, name text, ssn text);"
                "INSERT INTO customers SELECT i, 'name ' || i, lpad(i::text, 9, '0')"
                " FROM generate_series(1, 1000) i;"
                "CREATE TABLE orders (id int PRIMARY KEY, customer int REFERENCES customers,"
                " amount numeric(10,2));"
                "INSERT INTO orders SELECT i, 1 + i % 1000, i * 1.25"
                " FROM generate_series(1, 5000) i;")
    yield server
    server.close()


@pytest.fixture(scope="session")
def stack(postgres):
    running = Stack(postgres, identity="sub=agent-7,groups=analysts+agents")
    yield running
    running.close()


@pytest.fixture
def own_stack(postgres):
    """For a test that kills or reconfigures parts."""
    with contextlib.ExitStack() as end:  # all are closed, also where one is not to be stopped
        def make(**options):
            running = Stack(options.pop("postgres", postgres), **options)
            end.callback(running.close)
            return running

        yield make


@pytest.fixture
def parts(postgres):
    """The same, with each part as a process of its own."""
    with contextlib.ExitStack() as end:
        def make(**options):
            running = Parts(options.pop("postgres", postgres), **options)
            end.callback(running.close)
            return running

        yield make


@pytest.fixture(scope="session")
def oidc():
    """An OpenID provider that nobody spoils: for an agent, and for who searches the audit."""
    running = Provider([{"id": "agent-7", "groups": ["analysts"]},
                        {"id": "auditor", "groups": ["auditors"]},
                        {"id": "admin", "groups": ["admins"]}])
    yield running
    running.close()
