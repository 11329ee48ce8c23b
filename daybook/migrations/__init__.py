"""The schema of the database: numbered migrations, and what applies them."""
