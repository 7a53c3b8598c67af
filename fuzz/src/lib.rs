//! Fuzz entry points as commands, and their corpus.
