# SPDX-License-Identifier: Apache-2.0
#
# fish completion.  Commands and options are read from --help, so that they are
# written down once.

function __castaway_commands
    castaway --help 2>/dev/null | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) *\(.*\)/\1\t\2/p'
end

function __castaway_options
    set -l words (commandline -opc)
    castaway $words[2] --help 2>/dev/null | sed -n 's/^ .*\(--[a-z0-9-]*=\{0,1\}\).*/\1/p'
end

complete -c castaway -n __fish_is_first_token -f -a '(__castaway_commands)'
complete -c castaway -n 'not __fish_is_first_token' -a '(__castaway_options)'
