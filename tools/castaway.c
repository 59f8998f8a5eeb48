/* SPDX-License-Identifier: Apache-2.0
 *
 * `castaway COMMAND [OPTIONS]`: finds the command and hands over.  Everything
 * that a user sees is printed in this folder; the analyzer returns errors.
 */
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "config.h"
#include "message.h"

struct command {
	const char *name, *summary;
	int (*run)(int argc, char **argv);
};

static const struct command g_commands[] = {
#define X(name, summary) {#name, summary, cmd_##name},
	COMMANDS(X)
#undef X
};

static int print_help(void)
{
	printf("Usage: castaway COMMAND [OPTIONS]\n"
	       "Finds reference cycles that nothing reaches any more, in unmodified programs.\n"
	       "\nCommands:\n");
	for (size_t i = 0; i < sizeof(g_commands) / sizeof(g_commands[0]); i++)
		printf("  %-10s %s\n", g_commands[i].name, g_commands[i].summary);
	printf("\nOptions:\n"
	       "  --help     print this, or with a command its options\n"
	       "  --version  print the version\n"
	       "\nTo begin: castaway run -- PROGRAM [ARGUMENT]...\n");
	return message_finish_output(stdout, "standard output");
}

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < sizeof(g_commands) / sizeof(g_commands[0]); i++)
		if (!strcmp(g_commands[i].name, name))
			return &g_commands[i];
	return NULL;
}

int main(int argc, char **argv)
{
	const struct command *command;

	/* Only for the width of characters: numbers stay in the C locale, as JSON wants them. */
	setlocale(LC_CTYPE, "");
	if (argc < 2)
		return message_usage("a command is missing (see castaway --help)");
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
		return print_help();
	if (!strcmp(argv[1], "--version")) {
		printf("castaway " CASTAWAY_VERSION "\n");
		return message_finish_output(stdout, "standard output");
	}
	command = find_command(argv[1]);
	if (!command)
		return message_usage("unknown %s %s (see castaway --help)",
				     argv[1][0] == '-' ? "option" : "command", argv[1]);
	return command->run(argc - 1, argv + 1);
}
