"""Plants each defect of defects.toml in the product, and expects the ledger's simulation or its
failing days to notice.

    planted_defects.py BUILD_DIRECTORY [NAME...]      all, or those whose names contain one of these

A changed file is compiled as the build compiles it, and linked in front of the build's own libraries
into the test programs: the tree stays as it is. A defect that nobody notices fails; so does one that
cannot be planted any more.
"""

import concurrent.futures
import json
import os
import pathlib
import random
import re
import shlex
import subprocess
import sys
import tempfile
import time
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[2]
# In the order in which they are asked.
PROGRAMS = ("server.ledger.simulation", "server.ledger.ledger_faults")
ROUNDS = 250
PATIENCE_SECONDS = 150
# The same seeds each time, and a few that nobody has seen.
FIXED_SEED = 1


def fail(text):
    sys.exit(f"planted_defects.py: {text}")


def planted_source(defect):
    """The text of the file with the defect in it."""
    text = (ROOT / defect["file"]).read_text()
    count = text.count(defect["old"])
    if count != 1:
        raise LookupError(f"does not apply any more: {defect['file']} has the place {count} times")
    return text.replace(defect["old"], defect["new"])


def compile_command(build, file):
    for entry in json.loads((build / "compile_commands.json").read_text()):
        if pathlib.Path(entry["file"]) == ROOT / file:
            arguments = entry.get("arguments") or shlex.split(entry["command"])
            return pathlib.Path(entry["directory"]), arguments
    fail(f"{build}/compile_commands.json does not know {file}")


def link_command(build, program):
    """What links the program, and where it is run: from ninja, or from make's link.txt."""
    if (build / "build.ninja").exists():
        steps = subprocess.run(["ninja", "-C", str(build), "-t", "commands", program],
                               capture_output=True, text=True, check=True)
        directory, line = build, steps.stdout.strip().splitlines()[-1]
    else:
        directory = build / "tests"
        line = (directory / "CMakeFiles" / f"{program}.dir" / "link.txt").read_text()
    # One of several commands in that line has the program behind -o.
    for command in re.split(r"\s&&\s", line):
        words = shlex.split(command)
        for at, word in enumerate(words[:-1]):
            if word == "-o" and pathlib.PurePath(words[at + 1]).name == program:
                return directory, words, at + 1
    fail(f"cannot tell how {program} is linked")


def run(arguments, **more):
    return subprocess.run(arguments, capture_output=True, text=True, errors="replace", **more)


def make_object(build, defect, folder):
    directory, arguments = compile_command(build, defect["file"])
    source = folder / pathlib.PurePath(defect["file"]).name
    source.write_text(planted_source(defect))
    planted = folder / "planted.o"
    arguments = list(arguments)
    arguments[arguments.index("-o") + 1] = str(planted)
    arguments[arguments.index("-c") + 1] = str(source)
    made = run(arguments + ["-w"], cwd=directory)
    if made.returncode != 0:
        raise LookupError("does not compile:\n" + made.stderr[-2000:])
    return planted


def link(build, program, planted, folder):
    directory, words, output = link_command(build, program)
    words = list(words)
    words[output] = str(folder / program)
    first_object = next(i for i, word in enumerate(words) if word.endswith(".o"))
    words.insert(first_object, str(planted))
    made = run(words, cwd=directory)
    if made.returncode != 0:
        raise LookupError("does not link:\n" + made.stderr[-2000:])
    return folder / program


def attempts(seed):
    """Who is asked, with which seed."""
    yield PROGRAMS[0], FIXED_SEED
    yield PROGRAMS[1], FIXED_SEED
    yield PROGRAMS[0], seed


def first_complaint(output):
    found = re.search(r'Which is: "(.*)"', output) or re.search(r"^(.*Failure.*)$", output, re.M)
    return found.group(1) if found else (output.strip().splitlines() or ["(silent)"])[-1]


def notice(program, seed):
    """What the program says of the defect; None: nothing."""
    environment = dict(os.environ, TALLYGATE_SEED=str(seed), TALLYGATE_ROUNDS=str(ROUNDS))
    try:
        done = run([str(program), "--gtest_fail_fast", "--gtest_brief=1"], env=environment,
                   timeout=PATIENCE_SECONDS, cwd=program.parent)
    except subprocess.TimeoutExpired:
        return "it never ends"
    return None if done.returncode == 0 else first_complaint(done.stdout + done.stderr)


def try_defect(build, defect, seed):
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="tallygate-defect-") as name:
        folder = pathlib.Path(name)
        try:
            planted = make_object(build, defect, folder)
            for program, with_seed in attempts(seed):
                binary = folder / program
                if not binary.exists():
                    link(build, program, planted, folder)
                complaint = notice(binary, with_seed)
                if complaint:
                    caught = f"{program.rsplit('.', 1)[-1]} says: {complaint[:120]}"
                    return True, f"{caught} ({time.monotonic() - begun:.0f} s)"
        except LookupError as error:
            return False, str(error)
    return False, f"NOBODY NOTICES (seeds {FIXED_SEED} and {seed}, {ROUNDS} rounds each)"


def main():
    if len(sys.argv) < 2:
        fail("which build directory?")
    build = pathlib.Path(sys.argv[1]).resolve()
    wanted = sys.argv[2:]
    defects = tomllib.loads((pathlib.Path(__file__).parent / "defects.toml").read_text())["defect"]
    defects = [d for d in defects if not wanted or any(w in d["name"] for w in wanted)]
    seed = int(os.environ.get("TALLYGATE_SEED") or random.SystemRandom().randrange(1 << 31))
    print(f"{len(defects)} defects; replay with TALLYGATE_SEED={seed}", flush=True)

    def complaint_without(program, with_seed):
        _, words, output = link_command(build, program)
        complaint = notice((build / words[output]).resolve(), with_seed)
        return complaint and f"{program} complains without a defect (seed {with_seed}): {complaint}"

    missed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        # Without a defect nobody may complain, or the rest proves nothing.
        for complaint in pool.map(lambda asked: complaint_without(*asked), list(attempts(seed))):
            if complaint:
                fail(complaint)
        tries = {pool.submit(try_defect, build, d, seed): d for d in defects}
        for done in concurrent.futures.as_completed(tries):
            caught, text = done.result()
            missed += not caught
            print(f"{'caught' if caught else 'MISSED'}: {tries[done]['name']}: {text}", flush=True)
    print(f"{len(defects) - missed} of {len(defects)} defects were noticed")
    sys.exit(1 if missed else 0)


main()
