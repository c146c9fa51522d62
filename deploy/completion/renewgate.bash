# bash completion for renewgate: its commands and their options, as its help tells them.
_renewgate() {
    local words
    words=$(renewgate --help 2> /dev/null | awk -v at="$COMP_CWORD" -v command="${COMP_WORDS[1]}" '
        /^Environment/ { exit }
        /^  renewgate/ { told = at > 1 && $2 == command; if (told) sub(command, "") }
        /^  renewgate [^ ]/ && at == 1 { print $2 }
        told { while (match($0, /--[a-z-]*[a-z]/)) {
            print substr($0, RSTART, RLENGTH)
            $0 = substr($0, RSTART + RLENGTH) } }')
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "${COMP_WORDS[COMP_CWORD]}")
}
complete -F _renewgate renewgate
