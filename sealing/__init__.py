"""Proof that history is intact: the log's Merkle tree, signed, off the write path."""
