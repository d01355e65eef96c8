"""Every row of the fault table (L1, F8, J16, …) is named at a test that would fail without the right
answer, as "# J16" or "// J16" at its definition, or tests/README.md says why it has none."""

import pathlib
import re
import unittest

TESTS = pathlib.Path(__file__).resolve().parent
ROWS = {"L": 14, "F": 15, "H": 15, "J": 18, "E": 11, "S": 11, "P": 14, "O": 9, "T": 4}
ROW = r"[LFHJESPOT]\d{1,2}"
# What a test begins with, on the line of the comment or on the one behind it.
BEGINS = re.compile(r"^ *(?:def test_|TEST(?:_F|_P)?\(|class )", re.MULTILINE)
COMMENT = re.compile(rf"(?:#|//) ({ROW}(?:, {ROW})*)$")
IN_A_NAME = re.compile(rf"^ *def test_\w+?((?:__{ROW})+)\(")


def named_rows():
    """Where each row is named: files and lines."""
    found = {}
    for file in sorted(TESTS.rglob("*_test.*")):
        lines = file.read_text(errors="replace").splitlines()
        for i, line in enumerate(lines):
            rows = []
            if comment := COMMENT.search(line):
                if any(BEGINS.match(each) for each in lines[i:i + 2]):
                    rows = comment[1].split(", ")
            if name := IN_A_NAME.match(line):
                rows += re.findall(ROW, name[1])
            for row in rows:
                found.setdefault(row, []).append(f"{file.relative_to(TESTS)}:{i + 1}")
    return found


def excused_rows():
    """Those in the table of tests/README.md, which says why."""
    text = (TESTS / "README.md").read_text()
    excused = set()
    for cell in re.findall(rf"^\| ((?:{ROW}|–|, )+) \| .{{20,}} \|$", text, re.MULTILINE):
        for part in cell.split(", "):
            first, _, last = part.partition("–")
            numbers = range(int(first[1:]), int((last or first)[1:]) + 1)
            excused |= {f"{first[0]}{number}" for number in numbers}
    return excused


class RowsTest(unittest.TestCase):
    maxDiff = None
    every = {f"{letter}{n}" for letter, count in ROWS.items() for n in range(1, count + 1)}

    def test_every_row_has_a_test_or_a_reason(self):
        self.assertEqual(self.every - set(named_rows()) - excused_rows(), set())

    def test_no_other_row_is_named(self):
        self.assertEqual((set(named_rows()) | excused_rows()) - self.every, set())

    def test_what_has_a_test_needs_no_reason(self):
        self.assertEqual(excused_rows() & set(named_rows()), set())


if __name__ == "__main__":
    for row, places in sorted(named_rows().items(), key=lambda it: (it[0][0], int(it[0][1:]))):
        print(row, *places)
    unittest.main()
