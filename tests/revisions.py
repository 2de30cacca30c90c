"""Throwaway repositories whose training is a few lines of Python."""

import subprocess
from pathlib import Path

GIT = ("git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main")
CASE = """\
schema: 1
about: A line that falls.
tags: [{tag}]
timeout: 60 s
model: {{command: [python3, {program}, "{{steps}}"]}}
config: {{steps: 4, optimizer: {{sgd: {{lr: 0.1}}}}}}
backends: [command]
expect:
  loss_drop: {{at_least: 10%}}
"""
PROGRAM = """\
import json
import sys

for step in range(int(sys.argv[1])):
    loss = 2.0 - {slope} * step
    print(json.dumps({{"step": step, "loss": loss, "lr": {rate}, "step_time": 0.01}}))
"""


def git(*arguments):
    done = subprocess.run([*GIT, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def program(slope="0.3", rate="0.1", name="train.py"):
    Path("cases").mkdir(exist_ok=True)
    (Path("cases") / name).write_text(PROGRAM.format(slope=slope, rate=rate))


def case(name="line", tag="small", uses="train.py"):
    Path("cases").mkdir(exist_ok=True)
    (Path("cases") / f"{name}.yaml").write_text(CASE.format(tag=tag, program=uses))


def commit(subject="more"):
    git("add", ".")
    git("commit", "-q", "--allow-empty", "-m", subject)
    return git("rev-parse", "HEAD")


def begin():
    """A repository in the current folder, with a healthy case in its first commit."""
    git("init", "-q")
    program()
    case()
    return commit("healthy")


def untouched():
    """What must not change: the branch, its commit, the files, the worktrees, and folders of git's own."""
    return (
        git("symbolic-ref", "HEAD"),
        git("rev-parse", "HEAD"),
        git("status", "--porcelain"),
        git("worktree", "list", "--porcelain"),
        Path(".git/worktrees").exists(),
        git("stash", "list"),
    )


def left_behind(folder):
    """Temporary folders of the keeper."""
    return [path.name for path in Path(folder).iterdir() if path.name.startswith("harness-worktrees-")]
