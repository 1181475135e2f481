"""``wellposed list``: what is there."""

from __future__ import annotations

from wellposed_check.verify import CLAIMS

ROOMS = {
    "elliptic": ("field -> field", "Darcy: any potential certified, refined, guarded; MgNO; Helmholtz, one-step flow: lower bounds", True),
    "flow": ("field -> trajectory", "Navier-Stokes: any trajectory certified and refined; SpacetimeFNO; heat, Stokes, Oseen", True),
    "proximal": ("image -> image", "LPN, a learned prior that is exactly one; any reconstruction certified, refined; conformal sets", True),
    "sequence": ("sequence -> sequence", "audits of anyone's diagonal system or matrix; S4 and S5 trained, streamed, certified", True),
    "normact": ("tensor -> tensor", "evolved normalization-activation layers", False),
    "automaton": ("state -> state", "probabilistic automata as quantum systems", False),
    "oracle": ("query -> answer", "hard instances that certify optimizers", False),
}


def main(arguments: list[str]) -> int:
    if arguments:
        print("usage: wellposed list\n\nThe rooms, their problems and claims.")
        return 0 if arguments[0] in ("-h", "--help") else 2
    for room, (kind, text, there) in ROOMS.items():
        print(f"{room:<10} {kind:<21} {text}{'' if there else '  (not yet)'}")
        for claim in CLAIMS:
            if claim.startswith(f"{room}."):
                print(f"{'':<10}   {claim}")
    return 0
