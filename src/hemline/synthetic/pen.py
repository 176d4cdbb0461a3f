"""The pen: draws one garment, layer by layer, on the body of a figure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from hemline.synthetic.canvas import Canvas
from hemline.synthetic.cloth import Cloth
from hemline.synthetic.curves import Array, Points, shift
from hemline.synthetic.fabric import Fabric
from hemline.synthetic.figure import Figure
from hemline.synthetic.product import Product
from hemline.synthetic.values import RGB


@dataclass
class Pen:
    """Draws a garment of a product and its fabric; `target` marks it as the image's product.

    Points (N,2) lie on the front of an upright body, unless they are called shapes: those are in
    figure units, where the pose has put them. `canvas` is set while a layer is drawn.
    """

    figure: Figure
    product: Product
    fabric: Fabric
    target: bool
    canvas: Canvas = field(init=False)

    def layer(self, z: float, draw: Callable[[], None]) -> None:
        """Adds a layer to the figure; a larger `z` is nearer to the viewer."""

        def on(canvas: Canvas) -> None:
            self.canvas = canvas
            draw()

        self.figure.add(z, on)

    def line(self, points: Points, color: RGB, width: float) -> None:
        self.canvas.line(self.figure.body(points), color, width, target=self.target)

    def lines(self, paths: Array, color: RGB, width: float) -> None:
        """Strokes (K,N,2), one after the other."""
        shapes = self.figure.body(paths.reshape(-1, 2)).reshape(paths.shape)
        self.canvas.lines(shapes, color, width, target=self.target)

    def fill(self, points: Points, color: RGB) -> None:
        self.canvas.fill(self.figure.body(points), color, target=self.target)

    def stroke(self, shape: Array, color: RGB, width: float) -> None:
        self.canvas.line(shape, color, width, target=self.target)

    def edge(self, shape: Array, width: float) -> None:
        """The seam all around a shape."""
        self.canvas.line(shape, self.fabric.seam, width, closed=True, target=self.target)

    def pocket(self, points: Points, shade: float, width: float) -> None:
        """A piece sewn on: its seam, and the cloth within lighter or darker."""
        shape = self.figure.body(points)
        self.canvas.tint([shape], shade)
        self.edge(shape, width)

    def flat(self, shape: Array, cloth: Cloth, gain: float, round_: float) -> None:
        """A flat piece of cloth on the torso."""
        frame = self.figure.frame()
        self.canvas.drape(
            [shape], cloth, frame, folds=12, gain=gain, round_=round_, target=self.target
        )

    def collar(self, points: Points, gain: float = 1.06) -> None:
        """A piece of trim that throws a shadow on the front."""
        shape = self.figure.body(points)
        self.canvas.tint([shift(shape, 0, 6)], 0.82, 6)
        self.flat(shape, self.fabric.trim, gain, 0.6)
        self.edge(shape, 2.2)
