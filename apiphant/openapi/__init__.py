"""`apiphant openapi`: what a product's actions take and answer, as an OpenAPI 3.1 document."""
