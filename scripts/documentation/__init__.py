"""Documentation site: pages made from the code, hooks of MkDocs, pictures of the pages."""
