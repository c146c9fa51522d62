# bash completion for renewgate: its options, which it lists itself.
_renewgate() {
    local words
    words=$(renewgate --help 2> /dev/null | sed -nE 's/^  renewgate (-*[a-z][a-z-]*).*/\1/p')
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "${COMP_WORDS[COMP_CWORD]}")
}
complete -F _renewgate renewgate
