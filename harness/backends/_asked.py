"""What a case asks of a program: the identity of a problem whose numbers the program makes itself."""

import json
from dataclasses import asdict
from hashlib import blake2b

from harness.spec import Case, TextData

NOT_ASKED = ("dtype", "threads", "ranks")
"""Of the config, what says only how to compute."""


def asked_digest(case: Case) -> str:
    """BLAKE2b, 16 bytes in hex, of the model as the case tells it, its config and the text of its data.

    Not of the program's code: that is what is tested, and a commit that changes it must remain comparable
    with the one before. Not of the expectations either.
    """
    config = {key: value for key, value in asdict(case.config).items() if key not in NOT_ASKED}
    asked = {"model": asdict(case.model), "config": config}
    digest = blake2b(
        json.dumps(asked, sort_keys=True, separators=(",", ":"), default=str).encode(), digest_size=16
    )
    if isinstance(case.config.data, TextData):
        digest.update((case.path.parent / case.config.data.text).read_bytes())
    return digest.hexdigest()
