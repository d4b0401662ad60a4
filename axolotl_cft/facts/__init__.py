"""Facts that no model can know: an invented world, documents about it, and questions.

What continued pre-training teaches is measured best by facts that stand in its documents alone.
A world's things have invented names and attributes drawn from closed lists, apart from each other,
so that no question can be answered but from the documents.

    domains/*.yml   values, wordings and filler sentences of each domain
    grammar         a wording with alternatives → one text
    domain          a domain's file, read and checked
    names           invented names, none of them real
    world           things, their halves, attributes and relations
    documents       a thing → prose
    questions       facts → items with eight options, and texts to learn answering from
    mixing          documents of the world among those of a corpus
    folder          all of it as files
    tiny            a small random Llama whose tokenizer knows the world
"""
