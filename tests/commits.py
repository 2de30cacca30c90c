"""A git repository with a few commits, for histories that were measured at them."""

import os
import subprocess

DAY = 86400
START = 1_750_000_000


def git(folder, *arguments, when=START):
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    date = f"{int(when)} +0000"
    known = {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date, "GIT_CONFIG_GLOBAL": os.devnull}
    who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"]
    done = subprocess.run(
        ["git", *who, *arguments],
        cwd=folder,
        env={**clean, **known},
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


def commit(folder, number, message="change"):
    git(folder, "commit", "-q", "--allow-empty", "-m", f"{message} {number}", when=START + number * DAY)
    return git(folder, "rev-parse", "HEAD")


def repository(folder, count):
    """A repository with so many commits on `main`, a day apart; their full hashes, oldest first."""
    folder.mkdir(parents=True, exist_ok=True)
    git(folder, "init", "-q", "-b", "main")
    return [commit(folder, number) for number in range(count)]
