#!/bin/sh
# Prints the state of each thread of a process: for a child that hangs after a fork, before the test
# kills it. Usage: show_threads.sh PID
#
# The kernel's stack is readable only as root. A line of `syscall` has the number of the system
# call, its arguments (a futex: the address that the thread waits for), and the stack pointer and
# the program counter, which `maps` resolves.

printf 'process %s: ' "$1"
tr '\0' ' ' < "/proc/$1/cmdline"
echo
for thread in "/proc/$1/task/"*; do
    printf '\nthread %s, ' "${thread##*/}"
    cat "$thread/comm"
    grep -E '^(State|SigPnd|SigBlk|SigCgt|voluntary_ctxt_switches)' "$thread/status"
    printf 'waits in %s\n' "$(cat "$thread/wchan" 2> /dev/null)"
    printf 'syscall %s\n' "$(cat "$thread/syscall" 2> /dev/null)"
    cat "$thread/stack" 2> /dev/null
done
echo
grep ' r-xp ' "/proc/$1/maps"
if command -v gdb > /dev/null; then
    gdb --nx --batch --pid "$1" --eval-command 'thread apply all backtrace' 2> /dev/null
fi
exit 0
