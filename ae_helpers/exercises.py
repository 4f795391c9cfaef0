def __getattr__(name):
    return lambda *a, **k: print("Not filled in yet: put your answer in place of the dots.")
