"""Videos, procedural puppets and training pairs."""
