"""Runs a program beside a database server of its own, for tests that are not written in Python.

    python3 with_database.py postgres|mariadb -- PROGRAM ARGUMENTS...

The server has an empty database `shop`, a user `owner` who may do everything in it, and a user
`edge` who may do nothing yet: the program grants what it wants to prove to be enough. (MariaDB lets
nobody connect to a database in which he has no right.) The program finds them in its environment:

    TALLYGATE_TEST_DATABASE           URL of the owner, by Unix socket
    TALLYGATE_TEST_DATABASE_TCP       URL of the owner, by TCP
    TALLYGATE_TEST_DATABASE_EDGE      URL of the edge, by Unix socket
    TALLYGATE_TEST_DATABASE_PASSWORD  of both
    TALLYGATE_TEST_DATABASE_PID       the server's first process, to be stopped and continued

Its exit status is passed on; 128 and the signal's number when a signal ended it. Whatever happens,
the server ends with it.
"""

import os
import secrets
import signal
import subprocess
import sys

from database_servers import SERVERS
from support import PATIENCE

ENDINGS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def end(number, _):
    """What else comes while the server is being removed comes too late."""
    for each in ENDINGS:
        signal.signal(each, signal.SIG_IGN)
    sys.exit(128 + number)


def environment(server, password):
    return os.environ | {
        "TALLYGATE_TEST_DATABASE": server.url("owner"),
        "TALLYGATE_TEST_DATABASE_TCP": server.url("owner", tcp=True),
        "TALLYGATE_TEST_DATABASE_EDGE": server.url("edge"),
        "TALLYGATE_TEST_DATABASE_PASSWORD": password,
        "TALLYGATE_TEST_DATABASE_PID": str(server.process_id),
    }


def run(command, variables):
    with subprocess.Popen(command, env=variables) as program:
        try:
            status = program.wait()
        except BaseException:
            program.terminate()
            try:
                program.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                program.kill()
            raise
    return status if status >= 0 else 128 - status


def main(arguments):
    if len(arguments) < 3 or arguments[0] not in SERVERS or arguments[1] != "--":
        print(f"usage: with_database.py {'|'.join(SERVERS)} -- PROGRAM ARGUMENTS...",
              file=sys.stderr)
        return 64
    for each in ENDINGS:
        signal.signal(each, end)
    kind, _, *command = arguments
    with SERVERS[kind]() as server:
        password = secrets.token_urlsafe(16)
        server.create_user("owner", password)
        server.make_owner("owner")
        server.create_user("edge", password)
        return run(command, environment(server, password))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
