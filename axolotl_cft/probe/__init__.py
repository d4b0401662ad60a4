"""Which prompts move a model? The likelihood of a text behind each prompt, against no prompt.

For a document x, a prompt c and a model P the probe measures, in nats per token of the text,

    Δ(c, x) = [ -Σ_k log P(x_k | c, x_<k) + Σ_k log P(x_k | x_<k) ] / |x|

Below zero, the prompt makes the text more likely. What flows where:

    documents ─► rows.py: sample, ids before the text, ids of the text ─► scoring.py: nats
                    ▲                                                          │
    pools ──────────┘ (and controls: shuffled words, the `fixed` pool)         ▼
         figure.py ◄── probe.json ◄── summary.py ◄── contrasts.py: what can be said of whom
                                                        ▲
                                     statistics.py: intervals over prompts and documents
"""
