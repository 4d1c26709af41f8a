"""`openapi`: the OpenAPI document of all functions, made from the models by which they read and answer."""
