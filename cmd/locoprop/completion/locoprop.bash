# Completion of locoprop for bash. Printed by `locoprop completion bash`.

_locoprop() {
	COMPREPLY=()
	# Bash takes = and : for ends of words; the program takes the words as the line has them.
	local line=${COMP_LINE:0:COMP_POINT} words current last cut reply
	read -ra words <<<"$line"
	[[ $line == *[[:space:]] ]] && words+=("")
	current=${words[${#words[@]} - 1]}
	last=${COMP_WORDS[COMP_CWORD]}
	[[ $last == [=:] ]] && last=
	cut=${current%"$last"}

	mapfile -t reply < <("${words[0]}" complete "${words[@]:1}" 2>/dev/null)
	((${#reply[@]})) || return 0
	local other=${reply[${#reply[@]} - 1]#:}
	unset "reply[${#reply[@]} - 1]"
	for word in "${reply[@]}"; do
		COMPREPLY+=("${word#"$cut"}")
	done
	case $other in
	file) mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "$last") ;;
	folder) mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -d -- "$last") ;;
	esac
	if [[ -n $other ]]; then
		compopt -o filenames 2>/dev/null
	elif [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]]; then
		compopt -o nospace 2>/dev/null
	fi
}

complete -F _locoprop locoprop
