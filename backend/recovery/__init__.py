"""The parts of diffusion recovery likelihood: the forms of its conditionals, the way down the
ladder of noise, the initializers and what is shown of them."""
