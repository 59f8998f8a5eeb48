# SPDX-License-Identifier: Apache-2.0
#
# bash completion.  Commands and options are read from --help, so that they are
# written down once.

_castaway()
{
	local word=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]} i

	COMPREPLY=()
	if ((COMP_CWORD == 1)); then
		mapfile -t COMPREPLY < <(compgen -W "--help --version $(castaway --help 2>/dev/null |
			sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p')" -- "$word")
		return
	fi
	# After -- comes somebody else's command line.
	for ((i = 2; i < COMP_CWORD; i++)); do
		if [[ ${COMP_WORDS[i]} == -- ]]; then
			mapfile -t COMPREPLY < <(compgen -c -f -- "$word")
			return
		fi
	done
	if [[ $word == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$(castaway "$command" --help 2>/dev/null |
			sed -n 's/^ .*\(--[a-z0-9-]*=\{0,1\}\).*/\1/p')" -- "$word")
		[[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace
	else
		mapfile -t COMPREPLY < <(compgen -f -- "$word")
	fi
}
complete -o filenames -F _castaway castaway
