# Completion of locoprop for fish. Printed by `locoprop completion fish`.

function __locoprop_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l reply ($words[1] complete $words[2..-1] 2>/dev/null)
    test (count $reply) -gt 0; or return
    set -l other (string sub -s 2 -- $reply[-1])
    set -e reply[-1]
    test (count $reply) -gt 0; and printf '%s\n' $reply
    set -l current (commandline -ct)
    switch $other
        case file
            __fish_complete_path (string replace -r '^--[^=]*=' '' -- $current)
        case folder
            __fish_complete_directories (string replace -r '^--[^=]*=' '' -- $current) ''
    end
end

complete -c locoprop -f -a '(__locoprop_complete)'
