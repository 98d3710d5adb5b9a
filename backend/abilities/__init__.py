"""What a trained run can be asked; one file an ability."""
