"""Start from observed winds, look some days ahead with an equation, and say how far the answer is from the equation's own flow.

The winds are monthly means of what the U.S. Navy's Fleet Numerical Oceanography Center analysed from observations, 1982 to 1992, as
Debian's package `ferret-datasets` has them (public domain). Without root:

    apt-get download ferret-datasets && dpkg -x ferret-datasets_*.deb winds
    python examples/observed_winds.py --folder winds/usr/share/ferret-vis/data --picture winds.png

About half a minute; with --nodes 96 more is proved of the equation, in twice the time.
"""

import argparse
import datetime as dt
import math
import sys
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from scipy.interpolate import RectBivariateSpline
from scipy.io import netcdf_file

import wellposed
from wellposed.flow import Evolution, NavierStokes2D, Refinement, solve
from wellposed.numerics.vorticity import resample, to_field, to_spectrum, velocity
from wellposed.report.certified import outward

FILE, FOLDER = "monthly_navy_winds.cdf", Path("/usr/share/ferret-vis/data")
EARTH, DAY = 6.371, 86400.0  # units: a megametre, that is a thousand kilometres, and a day
SPEED = 1e6 / DAY  # m/s in a Mm/day
MISSING = 90.0  # m/s: the file marks what it lacks by -99.9
TAPER = 6  # the window falls over a sixth of the side


@dataclass
class Box:
    """Winds on a periodic square in Mm/day, axes (y, x): `seen` as they were, `turning` what is kept of them, `w` their vorticity."""

    seen: list[np.ndarray]
    turning: list[np.ndarray]
    w: np.ndarray
    account: str


def read(folder: Path, month: str) -> tuple[np.ndarray, ...]:
    """Longitudes and latitudes in degrees; eastward and northward winds in m/s, (latitude, longitude), of a month such as 1983-01."""
    path = folder / FILE
    if not path.is_file():
        sys.exit(f"observed_winds: there is no {path}; install Debian's package ferret-datasets, or without root: apt-get download "
                 "ferret-datasets && dpkg -x ferret-datasets_*.deb winds, and give --folder winds/usr/share/ferret-vis/data")
    with netcdf_file(path, mmap=False) as file:
        first = dt.datetime(1980, 1, 14, 14)
        months = [f"{first + dt.timedelta(hours=float(hours)):%Y-%m}" for hours in file.variables["TIME"][:]]
        if month not in months:
            sys.exit(f"observed_winds: received the month {month}, expected one from {months[0]} to {months[-1]}")
        east, north, u, v = (np.array(file.variables[name][:], dtype=float) for name in ("FNOCX", "FNOCY", "UWND", "VWND"))
    return east, north, u[months.index(month)], v[months.index(month)]


def onto_plane(winds: tuple[np.ndarray, ...], o: argparse.Namespace) -> list[np.ndarray]:
    """Both winds in Mm/day at the nodes of a square, by a chart with true lengths at its middle latitude and a spline of degree three."""
    east, north, *fields = winds
    x = o.side * (np.arange(o.nodes) / o.nodes - 0.5)
    at_north = o.latitude + np.degrees(x / EARTH)
    at_east = o.longitude + np.degrees(x / (EARTH * math.cos(math.radians(o.latitude))))
    if abs(at_north).max() > 80 or np.ptp(at_east) > 180:
        sys.exit(f"observed_winds: received a square of {o.side:g} thousand km about {o.latitude:g} N, expected one between 80 S and 80 N "
                 "that spans at most half of the Earth; give a smaller --side")
    around = np.concatenate([east - 360, east, east + 360])
    found = [RectBivariateSpline(north, around, np.tile(f, 3))(at_north, at_east) for f in fields]
    if max(abs(f).max() for f in found) > MISSING:
        sys.exit("observed_winds: the file has no winds in a part of this square; choose another one")
    return [f / SPEED for f in found]


def box(winds: tuple[np.ndarray, ...], o: argparse.Namespace) -> Box:
    """Made periodic: less the mean wind, with which the square then moves; times a window that is zero at the edges; without divergence."""
    u, v = onto_plane(winds, o)
    n, modes = o.nodes, NavierStokes2D(1.0, o.nodes, length=o.side).modes
    fall = np.sin(np.pi / 2 * np.clip((0.5 - abs(np.arange(n) / n - 0.5)) * TAPER, 0, 1)) ** 2
    window = np.outer(fall, fall)
    a, b = (f - (window * f).sum() / window.sum() for f in (u, v))

    def curl(p: np.ndarray, q: np.ndarray) -> torch.Tensor:
        return (1j * modes.x * to_spectrum(torch.from_numpy(q)) - 1j * modes.y * to_spectrum(torch.from_numpy(p))) * modes.kept

    spectrum = curl(window * a, window * b)
    w, turning = to_field(spectrum, n).numpy(), [to_field(z, n).numpy() for z in velocity(spectrum, modes)]
    slope = np.gradient(window, o.side / n)
    share = ((slope[1] * b - slope[0] * a) ** 2).mean() / (w**2).mean()
    sizes = [(p**2 + q**2).mean() / (u**2 + v**2).mean() for p, q in ((a, b), (window * a, window * b), turning)]
    return Box([u, v], turning, w, (
        f"of their kinetic energy {sizes[0]:.0%} is left without the mean wind, {sizes[1]:.0%} under the window, {sizes[2]:.0%} without "
        f"divergence; of the mean square vorticity then, {share:.1%} is the window's own making"))


def said(certificate: wellposed.Certificate) -> str:
    """Both ends of the one claim, rounded outwards."""
    [c] = certificate.claims
    if c.upper is None or c.upper > 1:
        return "nothing useful is proved"
    most = f"{outward(100 * c.upper, True, 3)} % of the speed at the worst time, proved"
    return f"at least {outward(100 * c.lower, False, 3)} % and at most {most}" if c.lower else f"at most {most}"


def main() -> None:
    o = options()
    torch.set_num_threads(1)
    start = box(read(o.folder, o.month), o)
    print(f"winds of {o.month}, up to {SPEED * np.hypot(*start.seen).max():.1f} m/s, on a square of {1000 * o.side:g} km about "
          f"{o.latitude:g} N, {o.longitude:g} E, {o.nodes} x {o.nodes} nodes\n{start.account}")
    equation = NavierStokes2D(o.viscosity * DAY / 1e12, o.nodes, length=o.side)
    times = torch.linspace(0, o.days, 4 * math.ceil(o.days) + 1, dtype=torch.float64)
    problem = Evolution(equation, start.w, times)
    quick = solve(equation, problem.vorticity, times, method="cnab2", slab=0.25)
    print(f"\n{o.days:g} days ahead by the method of Adams and Bashforth; how far is that from the exact flow?")
    for against, name in (("galerkin", f"of the modes that {o.nodes} nodes keep"), ("pde", "of the equation, all modes")):
        print(f"  {name}: {said(wellposed.certify(problem, quick, against=against))}")
    better = wellposed.refine(problem, quick, 1e-6, against="galerkin", mesh="auto")
    whole = wellposed.refine(problem, better.answer, 1e-3, against="pde")
    print(f"refined:\n  {better.message}\n  {whole.message}\n\n{meaning(start, o)}")
    if o.picture:
        draw(start, better, whole, o)
        print(f"\nthe picture is {o.picture}")


def meaning(start: Box, o: argparse.Namespace) -> str:
    """The certificates in plain words, and a number for what they do not speak of."""
    year, month = map(int, o.month.split("-"))
    try:
        later = box(read(o.folder, f"{year + month // 12}-{month % 12 + 1:02d}"), o).turning
        square = sum(((p - q) ** 2).mean() for p, q in zip(later, start.turning, strict=True)) / sum((q**2).mean() for q in start.turning)
        scale = (f" By the next month the real mean winds here, treated alike, had changed by {math.sqrt(square):.0%}: no bound above "
                 "knows of it.")
    except SystemExit:
        scale = ""
    return ("What this proves: how far the answer is from the exact flow of one equation, du/dt + (u.grad) u + grad p = nu Lap u, div u = "
            f"0, on a periodic square, with an eddy viscosity of {o.viscosity:g} m2/s that was assumed, from starting winds that are "
            "taken as exact.\nWhat it does not: anything about the weather. The equation here has no rotation of the Earth, no heating, "
            "no pressure systems from outside of the square and no depth; a monthly mean is no state of the atmosphere; the errors of the "
            f"observations are not known here; and the edges are the window's.{scale}")


def draw(start: Box, better: Refinement, whole: Refinement, o: argparse.Namespace) -> None:
    """The winds seen, the vorticity at the start and the end, and the bounds."""
    half, fine = 500 * o.side, 4 * o.nodes
    ends = [to_field(resample(to_spectrum(better.answer.vorticity[0, k]), o.nodes, fine), fine).numpy() for k in (0, -1)]
    largest, every = max(abs(w).max() for w in ends), slice(None, None, max(1, o.nodes // 20))
    x = 1000 * o.side * (np.arange(o.nodes) / o.nodes - 0.5)
    figure, axes = plt.subplots(2, 2, figsize=(10, 8.4), layout="constrained")
    axes[0, 0].quiver(x[every], x[every], *(SPEED * f[every, every] for f in start.seen), angles="xy", width=0.003)
    axes[0, 0].set(title=f"Winds of {o.month} about {o.latitude:g} N, {o.longitude:g} E", aspect="equal", xlabel="km", ylabel="km")
    for ax, w, title in zip(axes.flat[1:], ends, ("Vorticity at the start, 1/day", f"Vorticity after {o.days:g} days, "
                                                                                   "1/day"), strict=False):
        image = ax.imshow(w, cmap="RdBu_r", vmin=-largest, vmax=largest, origin="lower", extent=(-half, half, -half, half))
        ax.set(title=title, xlabel="km", ylabel="km")
        figure.colorbar(image, ax=ax, shrink=0.9)
    for ax in axes.flat[:3]:
        ax.set_xticks((-half, 0, half))
        ax.set_yticks((-half, 0, half))
    for result, name in ((whole, "the equation, all modes"), (better, f"the modes that {o.nodes} nodes keep")):
        axes[1, 1].semilogy(result.bound.times[1:], result.bound.relative[0, 1:], label=f"against {name}")
    axes[1, 1].set(title="The relative velocity error is at most", xlabel="days")
    axes[1, 1].legend(frameon=False)
    figure.savefig(o.picture, dpi=110)


def options() -> argparse.Namespace:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--folder", type=Path, default=FOLDER, help=f"where {FILE} is ({FOLDER})")
    p.add_argument("--month", default="1983-01", help="from 1982-01 to 1992-12 (1983-01)")
    p.add_argument("--latitude", type=float, default=20.0, help="of the middle, degrees north (20)")
    p.add_argument("--longitude", type=float, default=190.0, help="of the middle, degrees east (190)")
    p.add_argument("--side", type=float, default=7.0, help="of the square, in thousands of km (7)")
    p.add_argument("--nodes", type=int, default=64, help="per axis, even (64)")
    p.add_argument("--days", type=float, default=5.0, help="to look ahead (5)")
    p.add_argument("--viscosity", type=float, default=1e5, help="eddy viscosity, assumed, m2/s (1e5)")
    p.add_argument("--picture", help="FILE to draw into: .png, .svg or .pdf")
    return p.parse_args()


if __name__ == "__main__":
    main()
