"""The synthesis stream of one reply: text in, checked audio and word marks out."""
