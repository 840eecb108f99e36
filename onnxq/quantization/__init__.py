"""A prepared model, a recipe and ranges become a quantized model."""
