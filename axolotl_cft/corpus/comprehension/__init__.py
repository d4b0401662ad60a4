"""Raw documents → reading-comprehension texts by rules, without an LLM.

After AdaptLLM ("Adapting Large Language Models via Reading Comprehension", ICLR 2024, arXiv
2309.09530): a text is followed by exercises whose questions and answers stand in the text itself.

    blocks      headings, paragraphs of prose, lists and tables; paragraphs → sentences
    sections    a document → sections of bounded size; nothing is lost
    passages    which sentences make sense out of their place, without their markup
    mining      sentences → pairs, definitions, topics, words of the domain
    keywords    which words are the domain's
    templates   the wording (templates.yml)
    compose     a section and what was mined in it → a text with exercises
    transform   a document → its texts
    run         a corpus → a corpus, and the ledger

docs/rivals.md says where this differs from what was published, and why.
"""
