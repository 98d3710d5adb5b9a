"""What the speed and quality claims are made of."""
