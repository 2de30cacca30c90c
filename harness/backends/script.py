"""A PyTorch program as it is, or a model that a function of yours builds: observed from inside torch."""

import json
from pathlib import Path
from typing import ClassVar

import harness.drivers
from harness.backends._places import lacking_packages, places
from harness.backends._watched import WatchedProgram, threads_of
from harness.programs import PythonModel, ScriptModel, filled
from harness.spec import Case
from harness.watching.program import Job

DRIVER = Path(harness.drivers.__file__).with_name("python_model.py")


class Script(WatchedProgram):
    """Runs in the case's folder, for the case's steps at most; its own code is not changed."""

    models: ClassVar[tuple[type, ...]] = (ScriptModel, PythonModel)

    def unsupported(self, case: Case) -> str:
        """Which packages the program needs that are not here."""
        assert isinstance(case.model, ScriptModel | PythonModel)
        return lacking_packages(case.model.needs)

    def job(self, case: Case, scratch: Path) -> Job:
        """The script with its arguments, or ours with the function's."""
        folder, model = case.path.parent.resolve(), case.model
        assert isinstance(model, ScriptModel | PythonModel)
        values = places(case, scratch)
        if isinstance(model, ScriptModel):
            script = folder / model.script
            arguments = tuple(filled(text, values) for text in model.arguments)
        else:
            script, arguments = DRIVER, (str(_told(case, model, scratch)),)
        return Job(
            script=script, arguments=arguments, steps=case.config.steps, folder=scratch / "watched",
            home=folder, environment={**threads_of(case), "HARNESS_CASE": values["case"]},
            evaluate=str(folder / model.evaluate) if model.evaluate else "", seed=case.config.seed,
        )  # fmt: skip


def _told(case: Case, model: PythonModel, scratch: Path) -> Path:
    path = scratch / "build.json"
    told = {
        "python": str(case.path.parent.resolve() / model.python), "arguments": dict(model.arguments),
        "steps": case.config.steps, "seed": case.config.seed,
    }  # fmt: skip
    path.write_text(json.dumps(told))
    return path
