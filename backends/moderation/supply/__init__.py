"""What this product is made of: licences of every locked package and every model, against an allow-list."""
