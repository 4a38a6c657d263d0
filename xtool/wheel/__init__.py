"""What a wheel is made of, what it may be called, and how it is mended: ELF facts, policies, judgement."""
