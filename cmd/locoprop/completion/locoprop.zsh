#compdef locoprop
# Completion of locoprop for zsh. Printed by `locoprop completion zsh`.

_locoprop() {
	local -a reply open
	local other
	reply=("${(@f)$("${words[1]}" complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
	(($#reply)) || return 1
	other=${reply[-1]#:}
	reply[-1]=()
	open=("${(@M)reply:#*=}")
	reply=("${(@)reply:#*=}")
	(($#reply)) && compadd -- "${reply[@]}"
	(($#open)) && compadd -S '' -- "${open[@]}"
	case $other in
	file) _files ;;
	folder) _files -/ ;;
	esac
}

if [[ $funcstack[1] == _locoprop ]]; then
	_locoprop "$@"
else
	compdef _locoprop locoprop
fi
