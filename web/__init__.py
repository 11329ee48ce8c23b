"""HTTP, once: who is calling, what they ask for, and how they are answered."""
