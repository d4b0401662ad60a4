"""What `comprehension` leaves beside its texts."""

from axolotl_cft.records.base import Record, RecordPart

COMPREHENSION_FILE = "comprehension.json"


class ExerciseCounts(RecordPart):
    """Exercises of one kind.

    Attributes:
        mined: found in the texts; for title and completion, asked.
        left_out: matched, and make no sense out of their place.
        written: are in the texts; of what is mined at most two a section.
        documents: with one or more.
    """

    mined: int
    left_out: int
    written: int
    documents: int


class ComprehensionRecord(Record):
    """`comprehension.json`: what became of a corpus.

    Attributes:
        corpus: as it was named.
        tokenizer: whose pieces are no words of the domain; None where none was named.
        keywords: words of the domain.
        section_characters: most characters of a section.
        documents: read.
        documents_with_exercises: with one or more that was mined, or about the whole.
        other_language: documents that stay as they are because they are not English.
        sections: texts that were written.
        characters_in: of the documents.
        characters_out: of the texts.
        characters_added: of these, not the documents' own: questions, answers, titles.
        exercises: kind -> counts.
        none_of: kinds of which no text has any.
        output: the file; None where nothing was written.
        sha256: of it.
    """

    kind = "the record of a comprehension run"
    advice = "run `axolotl-cft comprehension` again"

    corpus: str
    tokenizer: str | None
    keywords: int
    section_characters: int
    documents: int
    documents_with_exercises: int
    other_language: int
    sections: int
    characters_in: int
    characters_out: int
    characters_added: int
    exercises: dict[str, ExerciseCounts]
    none_of: list[str]
    output: str | None = None
    sha256: str | None = None
