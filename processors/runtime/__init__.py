"""What turns a function into a stage: declaration, poll loop, isolation, retry, dead letters.

Stage authors need the names below; `testing.StageEnvironment` runs a stage in a test.
"""

from processors.runtime.declaration import Sla, Stage, find, stage
from processors.runtime.later import Later
from processors.runtime.outcomes import Reject, Retry
from processors.runtime.results import JSON, Made, MadeFile, Result
from processors.runtime.retry import RetryPolicy
from processors.runtime.task import Fetched, Task

__all__ = [
    "JSON",
    "Fetched",
    "Later",
    "Made",
    "MadeFile",
    "Reject",
    "Result",
    "Retry",
    "RetryPolicy",
    "Sla",
    "Stage",
    "Task",
    "find",
    "stage",
]
