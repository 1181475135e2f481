"""How permeable is a rock, and how sure can one be? Two-sided bounds on the effective permeability of relief as rock.

A pressure drop from left to right, no flow through top and bottom; then 2 F(u) - |u|_a^2 = -|u|_a^2 is minus the
effective permeability, and the certificate encloses it.

    python examples/effective_permeability.py
"""

from wellposed import refine
from wellposed.elliptic import Darcy, load_relief

SIDES = {"bottom": "neumann", "right": "dirichlet", "top": "neumann", "left": "dirichlet"}


def main() -> None:
    relief = load_relief()
    rock = Darcy(relief.problem.coefficient[:3].numpy(), 0.0, SIDES, dirichlet={"left": 1.0})
    found = refine(rock, tol=0.02, mesh="auto")
    print(found.message)
    for k in range(len(rock)):
        low, high = -found.bound.compliance_upper[k], -found.bound.compliance_lower[k]
        arithmetic, harmonic = rock.coefficient[k].mean().item(), 1 / (1 / rock.coefficient[k]).mean().item()
        print(f"{relief.place(k)}: between {low:.5f} and {high:.5f} (means of a: harmonic {harmonic:.3f}, arithmetic {arithmetic:.3f})")


if __name__ == "__main__":
    main()
