"""The local language model: it answers one sentence from a passage, in English, and makes no free conversation.

The model is too small to be trusted with more: it has no tools, refuses nothing by itself, and claims to be a person
when asked. So retrieval chooses the passage first, fixed answers precede the model, and a check of its sentence follows
it.
"""
