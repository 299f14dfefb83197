"""Language models: one implementation a file, imported when one of its models is named."""
