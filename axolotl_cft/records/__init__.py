"""What is written to disk and read back: each kind of file is a model with one reader and writer.

    record = StudyRecord.read(folder / STUDY_FILE)
    evaluated = [run.arm for run in record.runs if run.eval_dir]
    record.write(folder / STUDY_FILE)

Every kind has a schema number. It rises when a reader of today would misread a file of tomorrow; a
file with a higher number than is known here is refused, one without a number is of schema 1; an
older one is read, and keeps its number when it is written again. A key that is not known here is no
reason to refuse a file: it is kept when the record is written again. What a reader can do without
has a default; what was not set is not written.
"""

from axolotl_cft.records.base import Record
from axolotl_cft.records.comprehension import (
    COMPREHENSION_FILE,
    ComprehensionRecord,
    ExerciseCounts,
)
from axolotl_cft.records.contamination import (
    CONTAMINATED_ITEMS_FILE,
    CONTAMINATION_FILE,
    REMOVED_FILE,
    Boilerplate,
    ContaminationRecord,
    OverlapExample,
    PartialMatch,
    Removal,
    TaskOverlap,
    read_contaminated,
    write_contaminated,
)
from axolotl_cft.records.corpus import CORPUS_FILE, CorpusManifest, CorpusShard, CorpusSum
from axolotl_cft.records.forecast import ForecastRecord, TrainingForecast
from axolotl_cft.records.generation import (
    GENERATION_FILE,
    AnswerCounts,
    ChatExport,
    GenerationLedger,
    JournalHeader,
    LLMUse,
    PromptLikeness,
    ReadingCounts,
)
from axolotl_cft.records.preparation import (
    SHARD_FILE,
    SOURCES_FILE,
    LedgerRecord,
    PreparedDataset,
    PreparedLedger,
    RecordedSource,
    ShardedDataset,
    ShardRecord,
    Source,
    SourceFile,
    SourcesRecord,
)
from axolotl_cft.records.report import REPORT_FILE, ComparedRows, ReportRecord
from axolotl_cft.records.slurm import SUBMISSION_FILE, SubmissionRecord, SubmittedJob
from axolotl_cft.records.software import Software
from axolotl_cft.records.study import (
    BUDGET_FILE,
    HELDOUT_FILE,
    STUDY_FILE,
    BudgetRecord,
    CountedArm,
    HeldOutRecord,
    Holder,
    StepMark,
    StudyHeldOut,
    StudyRecord,
    StudyRun,
)
from axolotl_cft.records.training import ReachedTrainer, Trained, TrainingLedger

__all__ = [
    "BUDGET_FILE",
    "COMPREHENSION_FILE",
    "CONTAMINATED_ITEMS_FILE",
    "CONTAMINATION_FILE",
    "CORPUS_FILE",
    "GENERATION_FILE",
    "HELDOUT_FILE",
    "REMOVED_FILE",
    "REPORT_FILE",
    "SHARD_FILE",
    "SOURCES_FILE",
    "STUDY_FILE",
    "SUBMISSION_FILE",
    "AnswerCounts",
    "Boilerplate",
    "BudgetRecord",
    "ChatExport",
    "ComparedRows",
    "ComprehensionRecord",
    "ContaminationRecord",
    "CorpusManifest",
    "CorpusShard",
    "CorpusSum",
    "CountedArm",
    "ExerciseCounts",
    "ForecastRecord",
    "GenerationLedger",
    "HeldOutRecord",
    "Holder",
    "JournalHeader",
    "LLMUse",
    "LedgerRecord",
    "OverlapExample",
    "PartialMatch",
    "PreparedDataset",
    "PreparedLedger",
    "PromptLikeness",
    "ReachedTrainer",
    "ReadingCounts",
    "Record",
    "RecordedSource",
    "Removal",
    "ReportRecord",
    "ShardRecord",
    "ShardedDataset",
    "Software",
    "Source",
    "SourceFile",
    "SourcesRecord",
    "StepMark",
    "StudyHeldOut",
    "StudyRecord",
    "StudyRun",
    "SubmissionRecord",
    "SubmittedJob",
    "TaskOverlap",
    "Trained",
    "TrainingForecast",
    "TrainingLedger",
    "read_contaminated",
    "write_contaminated",
]
