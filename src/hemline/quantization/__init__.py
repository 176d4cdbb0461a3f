"""`hemline quantize`: a bundle whose graphs compute in int8, written only if it is good enough."""
