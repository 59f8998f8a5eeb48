# SPDX-License-Identifier: Apache-2.0
#
# Programs say and do the same with and without castaway: stdout, stderr and
# status byte for byte, and the files that they write.
import os
import shutil
import subprocess

from support import LIBRARY, Skip, case, equal, main, record, run, tracee


def need(*programs):
    for program in programs:
        if not shutil.which(program):
            raise Skip(program + " is not installed")


def same(directory, command, traces=True, **kw):
    """Compares bare, under record, and under the bare preload."""
    bare = run(command, **kw)
    recorded = record(directory, command, **kw)
    preload = {"LD_PRELOAD": LIBRARY, "CASTAWAY_OUTPUT": os.path.join(directory, "pre.%e.%p.castaway")}
    preloaded = run(command, env=dict(kw.pop("env", {}), **preload), **kw)
    for name, result in (("record", recorded), ("LD_PRELOAD", preloaded)):
        equal(result.raw if name == "LD_PRELOAD" else result.status,
              bare.raw if name == "LD_PRELOAD" else bare.status, "%s: status of %s\n%s" % (name, command, result))
        equal(result.out, bare.out, "%s: stdout of %s" % (name, command))
        equal(result.err, bare.err, "%s: stderr of %s" % (name, command))
    assert not traces or recorded.traces, "no trace of %s" % command
    return bare


def program(name, *command, needs=(), stdin=b""):
    def test(directory):
        need(command[0], *needs)
        work = os.path.join(directory, "work")
        os.mkdir(work)
        same(directory, list(command), stdin=stdin, cwd=work)

    test.__doc__ = name
    case(test)


program("sqlite3: tables, joins and sorting", "sqlite3", ":memory:", stdin=b"""
create table t(a integer primary key, b text);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 5000) insert into t select i, hex(i * 7919) from n;
create index i on t(b);
select count(*), sum(a), min(b), max(b) from t;
select x.a, y.a from t x join t y on x.b = y.b order by x.b desc limit 20;
select syntax error;
""")
program("perl: hashes, regular expressions, sort, eval", "perl", "-e", r"""
my %h; $h{$_ * 7919 % 1009} .= "x$_" for 1 .. 5000;
print join(",", map { "$_=" . length $h{$_} } (sort { $a <=> $b } keys %h)[0 .. 50]), "\n";
eval { die "caught\n" }; print $@; warn "to stderr\n"; my $r = `echo child`; print $r; exit 3;
""")
program("python3 -m json.tool", "/usr/bin/python3", "-m", "json.tool",
        stdin=b'{"a": [1, 2, {"b": null}], "c": "\\u00e9"}' * 1)
program("python3: an uncaught exception", "/usr/bin/python3", "-c", "import re, collections\nraise KeyError('x')")
program("bash: pipelines with subshells", "bash", "-c", """
set -u; f() { local i; for i in 1 2 3; do echo "$1$i"; done; }
(f a; (f b) | tr a-z A-Z) | sort -r | while read -r l; do echo "<$l>"; done
x=$(f c | wc -l); echo "$x" >&2; diff <(f d) <(f e); echo "status $?"; exit 9""")
program("bash: background jobs and wait", "bash", "-c",
        'p=; for i in 1 2 3; do (exit $i) & p="$p $!"; done; s=0; for j in $p; do wait $j; s="$s $?"; done; echo $s')
program("dash: here documents and traps", "dash", "-c", 'trap "echo trapped; exit 4" TERM; cat <<E\nhere\nE\nkill -TERM $$')
program("awk, sed, sort, uniq", "sh", "-c",
        "seq 3000 | awk '{print $1 % 37, $1}' | sort -k1,1n -k2,2nr | sed -n '1~97p' | uniq -c")
program("find piped to parallel xargs", "sh", "-c",
        "mkdir -p d; for i in $(seq 40); do echo $i > d/$i; done; find d -type f | sort | xargs -P2 -n5 cat | sort -n",
        needs=("find", "xargs"))
program("ls of the descriptor table", "ls", "/proc/self/fd")
program("env without the settings", "sh", "-c", "env | grep -v -e ^LD_PRELOAD= -e ^CASTAWAY_ -e ^G_SLICE= -e ^_= | sort")
program("a program that looks at itself", tracee("inspect"))
program("a program that waits for children of every kind", tracee("inspect"), "wall")
program("exceptions through frames and threads", tracee("throws"))
program("diff, cut, tr and grep", "sh", "-c", "seq 50 > a; seq 2 3 60 > b; diff a b | cut -c1-3 | tr -d '\\n'; grep -c 5 a b")


@case
def git_log(directory):
    """git: log -p of a small repository"""
    need("git")
    work = os.path.join(directory, "repository")
    os.mkdir(work)
    env = {"HOME": directory, "GIT_CONFIG_NOSYSTEM": "1", "GIT_AUTHOR_DATE": "2020-01-01T00:00:00Z",
           "GIT_COMMITTER_DATE": "2020-01-01T00:00:00Z"}
    script = """git init -q -b main . && git config user.name n && git config user.email e@example.org
for i in 1 2 3 4 5; do seq $i $((i * 20)) > file; git add file; git commit -q -m "commit $i"; done"""
    equal(run(["sh", "-c", script], cwd=work, env=env).status, 0, "set-up")
    same(directory, ["git", "--no-pager", "log", "-p", "--stat"], cwd=work, env=env)
    same(directory, ["git", "fsck", "--full"], cwd=work, env=env)


@case
def gcc_object(directory):
    """gcc: the object file is the same, byte for byte"""
    need("gcc")
    source = os.path.join(directory, "source.c")
    with open(source, "w") as file:
        file.write("#include <stdio.h>\n" + "".join(
            "int f%d(int x) { return x * %d + x %% 7; }\n" % (i, i) for i in range(200)))
    objects = []
    for name, wrap in (("bare.o", run), ("traced.o", lambda c, **k: record(directory, c, **k))):
        path = os.path.join(directory, "out.o")
        result = wrap(["gcc", "-c", "-O1", source, "-o", path], cwd=directory)
        equal((result.status, result.out, result.err), (0, b"", b""), name)
        with open(path, "rb") as file:
            objects.append(file.read())
    equal(objects[0] == objects[1], True, "object files")


@case
def gcc_diagnostics(directory):
    """gcc: a failing compilation says the same"""
    need("gcc")
    source = os.path.join(directory, "bad.c")
    with open(source, "w") as file:
        file.write("int main(void) { return undeclared + ; }\n")
    same(directory, ["gcc", "-c", "-Wall", source, "-o", "/dev/null"])


@case
def xz_bytes(directory):
    """xz: the compressed bytes are the same"""
    need("xz")
    path = os.path.join(directory, "data")
    with open(path, "wb") as file:
        file.write(b"".join(b"%d " % (i * i) for i in range(60000)))
    assert same(directory, ["xz", "-k", "-c", "-T2", path]).out.startswith(b"\xfd7zXZ"), "xz"


@case
def tar_and_make(directory):
    """make with jobs and tar"""
    need("make", "tar")
    with open(os.path.join(directory, "Makefile"), "w") as file:
        file.write("all: a b c\n%: ; @echo made $@ > $@.out; tar cf - --mtime=@0 --owner=0 $@.out | wc -c > $@.size\n"
                   "show: all\n\t@cat a.out b.out c.out a.size\n")
    same(directory, ["make", "-s", "-j2", "show"], cwd=directory)


@case
def closed_descriptors(directory):
    """with closed stdin, stdout or stderr a program gets the same descriptors"""
    for closing in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
        command = ["sh", "-c", 'exec "$0" %s' % closing, tracee("closed")]
        same(directory, command)


@case
def preload_stays(directory):
    """LD_PRELOAD in the target's environment is what the user set, and what castaway needs"""
    other = os.path.join(directory, "libother.so")
    source = os.path.join(directory, "other.c")
    with open(source, "w") as file:
        file.write("int other_preload;\n")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", other, source], check=True, timeout=60)
    command = ["sh", "-c", 'echo "$LD_PRELOAD"']
    seen = record(directory, command, env={"LD_PRELOAD": other}).out.decode().strip().replace(":", " ").split()
    equal(len(seen), 2, "libraries preloaded: %r" % seen)
    assert other in seen and any(os.path.basename(s).startswith("libcastaway.so") for s in seen), seen
    equal(run(command, env={"LD_PRELOAD": LIBRARY, "CASTAWAY_OUTPUT": os.path.join(directory, "x.%p.castaway")})
          .out.decode().strip(), LIBRARY, "LD_PRELOAD as the user set it")


@case
def loader_errors(directory):
    """dlerror() tells of the program's own failures only"""
    source, program = os.path.join(directory, "errors.c"), os.path.join(directory, "errors")
    with open(source, "w") as file:
        file.write("#include <dlfcn.h>\n#include <stdio.h>\n"
                   "int main(void) { const char *error = dlerror(); puts(error ? error : \"none\"); return 0; }\n")
    subprocess.run(["cc", "-o", program, source, "-ldl"], check=True, timeout=60)
    for scan in ("no", "yes"):
        equal(record(directory, [program], ("--scan=" + scan,)).out, b"none\n", "with --scan=" + scan)


@case
def stdin_is_the_targets(directory):
    """castaway reads nothing of the target's stdin"""
    data = b"".join(b"line %d\n" % i for i in range(20000))
    equal(same(directory, ["cat"], stdin=data).out, data, "cat")


@case
def tracers(directory):
    """strace and gdb, themselves traced, see only the children that they made"""
    need("strace", "gdb")
    same(directory, ["strace", "-f", "-o", "/dev/null", "sh", "-c", "true; (exit 3)"], timeout=20)
    same(directory, ["sh", "-c", 'gdb -q -batch -nx -ex run --args "$0" 2>&1 | sed "s/process [0-9]*/process/"',
                     tracee("closed")], timeout=40)


@case
def valgrind(directory):
    """valgrind runs a program under castaway, without the helper process"""
    need("valgrind")
    command = ["valgrind", "-q", "--error-exitcode=99", tracee("shapes"), "pair"]
    equal(run(command).status, 0, "bare")
    result = record(directory, command)
    equal((result.status, result.out), (0, b""), str(result))


SANITIZED = """
#include <stdio.h>
#include <stdlib.h>
static void *volatile keep;
int main(int argc, char **argv)
{
	char *bytes = keep = malloc(16);

	puts("allocated");
	if (argc > 1)
		fprintf(stderr, "%d\\n", bytes[16]);
	free(bytes);
	return 5;
}
"""


def sanitizer(name):
    def test(directory):
        need("gcc")
        source, built = os.path.join(directory, "sanitized.c"), os.path.join(directory, "sanitized")
        with open(source, "w") as file:
            file.write(SANITIZED)
        if subprocess.run(["gcc", "-g", "-O0", "-fsanitize=" + name, "-o", built, source], capture_output=True,
                          timeout=60).returncode:
            raise Skip("gcc without -fsanitize=" + name)
        equal(same(directory, [built]).status, 5, "status")
        if name == "address":
            equal(run([built, "overrun"]).status, 1, "found without castaway")
            found = record(directory, [built, "overrun"])
            equal((found.status, b"heap-buffer-overflow" in found.err), (1, True), str(found))

    test.__doc__ = "a program built with -fsanitize=" + name
    case(test)


for each in ("address", "leak", "thread", "undefined"):
    sanitizer(each)


@case
def no_preload_needed(directory):
    """a static program runs as it is, untraced"""
    source, static = os.path.join(directory, "static.c"), os.path.join(directory, "static")
    with open(source, "w") as file:
        file.write('#include <stdio.h>\nint main(void) { puts("static"); return 6; }\n')
    if subprocess.run(["cc", "-static", "-o", static, source], capture_output=True, timeout=60).returncode:
        raise Skip("no static C library")
    same(directory, [static], traces=False)


main()
