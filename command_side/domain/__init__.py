"""What may happen: commands, the state they are decided on, and the rules. Pure."""
