"""Studio: what a question holds between two looks at the page, and sliders of an answer."""
