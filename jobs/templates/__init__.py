"""Small working parts that `basin new` copies: `template_name` becomes the name that is given."""
