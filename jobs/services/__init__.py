"""The processes of `basin up`, and who may use them."""
