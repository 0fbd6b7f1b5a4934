"""What a recipe is declared with: arms, claims, metrics, data splits."""
