"""What `import tutorial_lib` costs on top of torch: medians of fresh interpreters, one of each kind in turn."""

import subprocess
import sys
from statistics import median
from time import perf_counter

ROUNDS = 7


def seconds(statement: str) -> float:
    start = perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return perf_counter() - start


def main() -> None:
    seconds("import tutorial_lib")  # the first one compiles and warms the disk
    pairs = [(seconds("import torch"), seconds("import torch, tutorial_lib")) for _ in range(ROUNDS)]
    torch, both = median(pair[0] for pair in pairs), median(pair[1] for pair in pairs)
    print(f"torch {torch:.2f} s, torch and tutorial_lib {both:.2f} s")
    print(f"tutorial_lib on top of torch: {both - torch:.2f} s, {both / torch:.2f} times torch alone (budget 0.30 s)")


if __name__ == "__main__":
    main()
