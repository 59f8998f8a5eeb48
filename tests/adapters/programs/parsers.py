# SPDX-License-Identifier: Apache-2.0
"""argparse: parsers, sub-parsers and formatters are cycles by design."""
import argparse
import contextlib
import io


def build(number):
    parser = argparse.ArgumentParser(prog=f"tool{number}")
    commands = parser.add_subparsers(dest="command")
    for i in range(4):
        command = commands.add_parser(f"do{i}", help="does it")
        command.add_argument(f"--level{i}", type=int, default=i)
        choice = command.add_mutually_exclusive_group()
        choice.add_argument("--yes", action="store_true")
        choice.add_argument("--also", action="append")
    return parser


lines = 0
for number in range(30):
    parser = build(number)
    arguments = parser.parse_args([f"do{number % 4}", "--also", "x"])
    lines += len(parser.format_help().splitlines()) + len(arguments.also)
    with contextlib.redirect_stderr(io.StringIO()):
        try:
            parser.parse_args(["nothing"])
        except SystemExit as end:
            lines += end.code
print(lines)
