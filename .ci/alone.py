"""Become a command, as soon as no other process holds the lock: `python alone.py LOCK NOTICE COMMAND …`.

The notice is printed where there is something to wait for. The lock is let go when the command and all that it
started have ended, however they end.
"""

import fcntl
import os
import sys


def main() -> None:
    lock, notice, *command = sys.argv[1:]
    file = os.open(lock, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(notice, flush=True)
        fcntl.flock(file, fcntl.LOCK_EX)
    os.set_inheritable(file, True)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
