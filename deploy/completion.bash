# Completion of bash for Tallymill's programs. It asks the program at hand for its --help, so it is never older than that.

_tallymill_options() { "$@" --help 2>/dev/null | sed -n 's/^  \(--[a-z-]*\).*/\1/p'; }

_tallymill_settings() { "$@" --help 2>/dev/null | sed -n '/^Settings/,/^$/s/^  \([a-z]*\.[a-z_]*\) .*/\1=/p'; }

_tallymill_commands() { "$1" --help 2>/dev/null | sed -n '/^Commands:$/,/^$/s/^  \([a-z-]*\) .*/\1/p'; }

_tallymill() {
    local program=${COMP_WORDS[0]} word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command=() i
    COMPREPLY=()
    if [ "${program##*/}" = tallymill ]; then
        for ((i = 1; i < COMP_CWORD; i++)); do
            case ${COMP_WORDS[i]} in
            --config | --set) ((i++)) ;;
            -*) ;;
            *) command=("${COMP_WORDS[i]}"); break ;;
            esac
        done
    fi
    case $before in
    --config | --metrics) mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
    --set) mapfile -t COMPREPLY < <(compgen -W "$(_tallymill_settings "$program" "${command[@]}")" -- "$word"); compopt -o nospace 2>/dev/null ;;
    *)
        if [ "${program##*/}" = tallymill ] && [ ${#command[@]} -eq 0 ] && [[ $word != -* ]]; then
            mapfile -t COMPREPLY < <(compgen -W "$(_tallymill_commands "$program")" -- "$word")
        else
            mapfile -t COMPREPLY < <(compgen -W "$(_tallymill_options "$program" "${command[@]}")" -- "$word")
        fi
        ;;
    esac
}

complete -o default -F _tallymill tallymill tallymill-consumer tallymill-aggregator tallymill-produce
