"""Running code that a model wrote: processes of their own that reach neither the machine nor the tests."""
