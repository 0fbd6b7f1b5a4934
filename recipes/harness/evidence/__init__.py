"""The rows that stay, the code they came from, and the recipes found."""
