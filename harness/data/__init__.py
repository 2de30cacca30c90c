"""Where training data come from: one file a kind. All numbers follow from the seeds of the case.

`config.seed` drives order, lengths and fresh samples, each through its own stream; a source's own `seed`
fixes the source (a chain, a teacher, the centres). Changing `steps` leaves the first samples as they are.
"""

from harness.data import clusters, copying, markov, teacher, text
from harness.data.common import Dataset, split
from harness.spec import Case, ClustersData, CopyData, MarkovData, TextData

__all__ = ["Dataset", "load", "split"]


def load(case: Case) -> Dataset:
    """The data of a case, read or generated.

    Raises:
        HarnessError: the file, the sizes or the model do not suit; one line that says which.
    """
    data = case.config.data
    if isinstance(data, TextData):
        return text.load(case, data)
    if isinstance(data, MarkovData):
        return markov.load(case, data.markov)
    if isinstance(data, CopyData):
        return copying.load(case, data.copy)
    if isinstance(data, ClustersData):
        return clusters.load(case, data.clusters)
    return teacher.load(case, data.teacher)
