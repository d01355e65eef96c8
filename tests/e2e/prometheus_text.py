"""A strict reader of Prometheus' text format 0.0.4, from its description, for the tests of /metrics."""

import math
import re

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
HELP = re.compile(rf"# HELP ({NAME}) ((?:[^\\\n]|\\\\|\\n)*)")
TYPE = re.compile(rf"# TYPE ({NAME}) (counter|gauge|histogram)")
SAMPLE = re.compile(rf"({NAME})(?:\{{(.*)\}})? (\S+)")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"(,|$)')
NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?|[+-]Inf|NaN")
ESCAPED = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}


class Malformed(AssertionError):
    pass


def require(condition, what):
    if not condition:
        raise Malformed(what)


def read_labels(text):
    labels, at = {}, 0
    while at < len(text):
        found = LABEL.match(text, at)
        require(found, f"labels: {text!r}")
        name, value, _ = found.groups()
        require(name not in labels, f"label twice: {text!r}")
        labels[name] = re.sub(r'\\[\\"n]', lambda m: ESCAPED[m[0]], value)
        at = found.end()
    require(not text.endswith(","), f"labels: {text!r}")
    return labels


class Metrics:
    """`types` and `help` by the name of a metric; `samples`: (name, labels) to its number."""

    def __init__(self, text):
        self.types, self.help, self.samples = {}, {}, {}
        require(text.endswith("\n"), "the last line does not end")
        family = None  # the metric whose samples are being read
        for line in text.removesuffix("\n").split("\n"):
            if found := HELP.fullmatch(line):
                family = found[1]
                require(family not in self.help, f"HELP twice: {line}")
                self.help[family] = found[2]
            elif found := TYPE.fullmatch(line):
                require(found[1] == family and family not in self.types, f"TYPE: {line}")
                self.types[family] = found[2]
            else:
                self._read_sample(line, family)
        for name, kind in self.types.items():
            require(any(self.family_of(sample) == name for sample, _ in self.samples),
                    f"{name} has no sample")
            if kind == "histogram":
                self._check_histogram(name)

    def _read_sample(self, line, family):
        found = SAMPLE.fullmatch(line)
        require(found, f"no sample: {line!r}")
        name, labels, number = found.groups()
        require(family in self.types, f"no TYPE before {line!r}")
        require(self.family_of(name) == family, f"not among its own: {line!r}")
        require(NUMBER.fullmatch(number), f"no number: {line!r}")
        key = name, frozenset(read_labels(labels or "").items())
        require(key not in self.samples, f"twice: {line!r}")
        value = float(number.replace("Inf", "inf"))
        if self.types[family] != "gauge":
            require(value >= 0, f"below 0: {line!r}")
        self.samples[key] = value

    def _check_histogram(self, name):
        buckets = []
        for (sample, labels), value in self.samples.items():
            if sample == f"{name}_bucket":
                buckets.append((float(dict(labels)["le"].replace("Inf", "inf")), value))
        bounds, counts = zip(*buckets)
        require(list(bounds) == sorted(set(bounds)), f"{name}: bounds {bounds}")
        require(list(counts) == sorted(counts), f"{name}: buckets are not cumulative: {counts}")
        require(bounds[-1] == math.inf, f"{name} has no +Inf")
        require(counts[-1] == self.get(f"{name}_count"), f"{name}: +Inf is not the count")
        self.get(f"{name}_sum")

    def family_of(self, sample):
        for suffix in ("_bucket", "_sum", "_count"):
            name = sample.removesuffix(suffix)
            if self.types.get(name) == "histogram":
                return name
        return sample

    def get(self, name, **labels):
        return self.samples[name, frozenset(labels.items())]

    def named(self, name):
        """Labels and number of each sample of this name."""
        return [(dict(labels), value) for (sample, labels), value in self.samples.items()
                if sample == name]

    def total(self, name):
        return sum(value for _, value in self.named(name))

    def growing(self):
        """The samples that may never fall."""
        return {key: value for key, value in self.samples.items()
                if self.types[self.family_of(key[0])] != "gauge"}
