# SPDX-License-Identifier: Apache-2.0
#
# `meson install` into a staging directory: the files, the headers, and that the
# installed tool finds its library.
import glob
import os
import shutil
import subprocess

from support import BUILD, FOUND, Skip, case, clean_environment, equal, main, run, tracee

STRICT = ["-Wall", "-Wextra", "-pedantic", "-Werror"]


def staged(directory):
    if not shutil.which("meson"):
        raise Skip("meson is not installed")
    result = run(["meson", "install", "-C", BUILD, "--no-rebuild", "--quiet", "--destdir", directory], timeout=120)
    equal(result.status, 0, str(result))


def one(directory, pattern):
    found = glob.glob(os.path.join(directory, "**", pattern), recursive=True)
    assert found, "not installed: %s, only %s" % (
        pattern, sorted(os.path.relpath(os.path.join(d, f), directory) for d, _, fs in os.walk(directory) for f in fs))
    return found[0]


def compiled(directory, name, text, compiler, *flags):
    source, out = os.path.join(directory, name), os.path.join(directory, name + ".out")
    with open(source, "w") as file:
        file.write(text)
    include = os.path.dirname(os.path.dirname(one(directory, "castaway/castaway.h")))
    subprocess.run([compiler, "-I", include, *STRICT, *flags, source, "-o", out], check=True, timeout=60,
                   env=clean_environment())
    return out


@case
def files(directory):
    """program, library, headers, documentation and man pages are installed"""
    staged(directory)
    for pattern in ("bin/castaway", "libcastaway.so", "castaway/castaway.h", "castaway/format.h", "FORMAT.md",
                    "report.schema.json", "pkgconfig/castaway.pc"):
        one(directory, pattern)
    pages = glob.glob(os.path.join(directory, "**", "man1", "castaway*.1*"), recursive=True)
    assert pages, "no man page"


@case
def header_alone(directory):
    """the installed header compiles alone, as C99 and C11, C++98 and C++17, without a warning"""
    staged(directory)
    text = '#include <castaway/castaway.h>\nint main(void) { return castaway_active(); }\n'
    for name, compiler, *flags in (("c99.c", "gcc", "-std=c99"), ("c11.c", "gcc", "-std=c11"),
                                   ("gnu17.c", "gcc", "-std=gnu17", "-Wconversion", "-Wshadow"),
                                   ("c98.cc", "g++", "-std=c++98"), ("c17.cc", "g++", "-std=c++17", "-Wconversion")):
        equal(run([compiled(directory, name, text, compiler, *flags)]).status, 0, name)
    text = '#include <castaway/format.h>\nint main(void) { return CASTAWAY_FORMAT_VERSION - 1; }\n'
    equal(run([compiled(directory, "format.c", text, "gcc", "-std=c11")]).status, 0, "format.h")


@case
def two_units(directory):
    """two files of a program may include the header, and so may a library"""
    staged(directory)
    other = os.path.join(directory, "other.c")
    with open(other, "w") as file:
        file.write('#include <castaway/castaway.h>\nvoid *other(void *p);\n'
                   'void *other(void *p) { castaway_ref(p); return p; }\n')
    text = ('#include <castaway/castaway.h>\nvoid *other(void *p);\nstatic int x;\n'
            'int main(void) { castaway_object(&x, sizeof(x), "X"); return other(&x) != &x; }\n')
    equal(run([compiled(directory, "main.c", text, "gcc", "-std=c99", other)]).status, 0, "two units")
    for flags in (["-static"], ["-fPIE", "-pie", "-Wl,-z,defs"], ["-fno-pie", "-no-pie"], ["-O2", "-flto"]):
        equal(run([compiled(directory, "main.c", text, "gcc", "-std=c99", *flags, other)]).status, 0, str(flags))


@case
def unpreloaded(directory):
    """an annotated program runs without castaway, with no output and no trace"""
    result = run([tracee("shapes"), "pair"], cwd=directory)
    equal((result.status, result.out, result.err), (0, b"", b""), str(result))
    equal(os.listdir(directory), [], "files")


@case
def installed_tool(directory):
    """the installed tool finds the installed library beside it"""
    staged(directory)
    env = {"CASTAWAY_LIBRARY": ""}
    result = run([one(directory, "bin/castaway"), "run", "-o", os.path.join(directory, "t.castaway"), "--",
                  tracee("shapes"), "pair"], env=env)
    equal(result.status, FOUND, str(result))


@case
def installed_library(directory):
    """the installed library finds the installed tool, which castaway_gc_collect() needs"""
    staged(directory)
    env = {"LD_PRELOAD": one(directory, "libcastaway.so"), "CASTAWAY_OUTPUT": os.path.join(directory, "t.castaway")}
    result = run([tracee("collect"), "errors"], env=env)
    equal(result.out.splitlines()[-1:], [b"generation 2: 3"], str(result))


@case
def pkg_config(directory):
    """pkg-config gives the version and the include directory"""
    if not shutil.which("pkg-config"):
        raise Skip("pkg-config is not installed")
    staged(directory)
    env = {"PKG_CONFIG_PATH": os.path.dirname(one(directory, "castaway.pc"))}
    equal(run(["pkg-config", "--modversion", "castaway"], env=env).out.strip(), b"0.1.0", "version")
    assert run(["pkg-config", "--cflags", "castaway"], env=env).status == 0, "cflags"


main()
