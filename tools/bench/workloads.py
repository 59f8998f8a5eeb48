# SPDX-License-Identifier: Apache-2.0
#
# What is measured: programs made here from this folder's sources, and ones that
# the system has.  Each workload is a name, a command and settings of its own;
# one that cannot be made says why.
import os
import shutil
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))

PYTHON = """
import json
rows = [{"key%d" % i: [str(j) for j in range(20)], "n": i * 1.5} for i in range(6000)]
for _ in range(10):
    text = json.dumps(rows)
    back = json.loads(text)
    back.sort(key=lambda row: row["n"])
    words = sorted(text[:200000].split())
    joined = "".join(sorted(text[:60000]))
"""

SQL = """
create table t(a integer primary key, b text, c real);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 200000)
    insert into t select i, 'text' || (i * 7919 % 10007), i * 1.5 from n;
create index tb on t(b);
select count(*), sum(length(b)) from t where b like '%7%';
select b, count(*) from t group by b order by 2 desc, 1 limit 5;
select count(*), max(r) from (select replace(b, 'e', printf('%d', a)) || hex(substr(b, 2)) as r from t);
select count(distinct upper(b) || cast(c as text)) from t;
select length(group_concat(b || '-' || a)) from t group by a % 1000 limit 3;
"""

CXX = """
#include <algorithm>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <regex>
#include <string>
#include <variant>
#include <vector>
template <int N> struct chain {
    std::map<std::string, std::vector<std::shared_ptr<chain<N - 1>>>> below;
    std::variant<int, std::string, std::vector<double>> value;
    int sum() const {
        int total = static_cast<int>(value.index());
        for (const auto &entry : below)
            for (const auto &next : entry.second)
                total += next->sum();
        return total;
    }
};
template <> struct chain<0> { int sum() const { return 1; } };
int main(int argc, char **argv) {
    chain<24> c;
    std::vector<std::function<int(int)>> steps;
    for (int i = 0; i < argc; i++)
        steps.push_back([&c, i](int x) { return x + i + c.sum(); });
    std::regex word("[a-z]+(ing|ed)?");
    int total = 0;
    for (auto &step : steps)
        total = step(total);
    std::sort(argv, argv + argc, [](const char *a, const char *b) { return std::string(a) < b; });
    std::cout << total << std::regex_match(argv[0], word) << std::endl;
    return 0;
}
"""


class Unavailable(Exception):
    pass


class Workload:
    def __init__(self, name, command, environment=None, directory=None):
        self.name = name
        self.command = command
        self.environment = environment or {}
        self.directory = directory


def need(program):
    path = shutil.which(program)
    if path is None:
        raise Unavailable("no " + program)
    return path


def compile_own(directory, name, *flags):
    output = os.path.join(directory, name)
    source = os.path.join(HERE, name + ".c")
    done = subprocess.run([os.environ.get("CC", "cc"), "-O2", "-g", "-o", output, source, *flags],
                          capture_output=True, text=True)
    if done.returncode != 0:
        raise Unavailable("%s does not compile: %s" % (name, done.stderr.strip().split("\n")[0]))
    return output


def written(directory, name, text):
    path = os.path.join(directory, name)
    with open(path, "w") as file:
        file.write(text)
    return path


def churn(directory, threads):
    program = compile_own(directory, "churn", "-pthread")
    return Workload("churn, %d thread%s" % (threads, "s" if threads > 1 else ""),
                    [program, "4000000", str(threads)])


def graph(directory):
    return Workload("graph", [compile_own(directory, "graph"), "1000000"])


def python(directory, name, environment):
    # The real program: a version manager's wrapper would be traced too.
    program = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else need("python3")
    return Workload(name, [program, written(directory, "bench.py", PYTHON)], environment)


def sqlite(directory):
    return Workload("sqlite3", [need("sqlite3"), ":memory:", "-init", written(directory, "bench.sql", SQL), ".quit"])


# A history of its own: what a checkout happens to hold must not matter.
def git(directory):
    program = need("git")
    place = os.path.join(directory, "repository")
    os.mkdir(place)
    run = [program, "-c", "user.name=bench", "-c", "user.email=bench@localhost", "-C", place]
    subprocess.run([*run, "init", "-q"], check=True)
    for commit in range(60):
        for number in range(12):
            lines = ["line %d of file %d, change %d" % (i, number, commit if i % 37 == commit % 37 else 0)
                     for i in range(800)]
            written(place, "file%d.txt" % number, "\n".join(lines) + "\n")
        subprocess.run([*run, "add", "-A"], check=True)
        subprocess.run([*run, "commit", "-q", "-m", "change %d" % commit], check=True)
    return Workload("git log", [program, "--no-pager", "log", "-p", "--stat", "-w"], None, place)


def clang(directory):
    program = need("clang++")
    return Workload("clang++", [program, "-std=c++17", "-O1", "-c", "-o", os.path.join(directory, "bench.o"),
                                written(directory, "bench.cc", CXX)])


def gobject(directory):
    found = subprocess.run([need("pkg-config"), "--cflags", "--libs", "gobject-2.0"], capture_output=True, text=True)
    if found.returncode != 0:
        raise Unavailable("no development files of GLib")
    return Workload("GObject ref/unref", [compile_own(directory, "gobject", *found.stdout.split()), "5000000"])


# Short name, and what makes the workload in a directory.
WORKLOADS = {
    "churn1": lambda directory: churn(directory, 1),
    "churn2": lambda directory: churn(directory, 2),
    "churn4": lambda directory: churn(directory, 4),
    "graph": graph,
    "python": lambda directory: python(directory, "python3", {}),
    "python-malloc": lambda directory: python(directory, "python3, PYTHONMALLOC=malloc", {"PYTHONMALLOC": "malloc"}),
    "sqlite": sqlite,
    "git": git,
    "clang": clang,
    "gobject": gobject,
}
