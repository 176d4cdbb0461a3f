"""Dense SIFT and Fisher vectors: the hand-made features that DARN is compared with.

J. Huang et al., "Cross-domain Image Retrieval with a Dual Attribute-aware Ranking Network", ICCV
2015, section 5.1: descriptors with bins of 8 pixels at every 4 pixels, reduced to 64 numbers by a
PCA, encoded by Fisher vectors of 64 and of 128 Gaussians (8,192 and 16,384 numbers).

Fisher vectors: F. Perronnin, J. Sánchez, T. Mensink, "Improving the Fisher Kernel", ECCV 2010.

It is fitted and measured, neither trained nor exported. The descriptors are OpenCV's, the PCA and
the Gaussians scikit-learn's, the encoding scikit-image's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import cv2
import numpy as np
import numpy.typing as npt
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture

from hemline.data.preprocess import ImageInput, PreparedImage, resize_square
from hemline.encoding import RerankResult, ShopEncoding, StreetEncoding
from hemline.errors import UsageError
from hemline.types import FloatArray, Image

BIN, STRIDE, REDUCED = 8, 4, 64
#: OpenCV's descriptor has bins of 1.5 times a keypoint's size.
_KEYPOINT = BIN / 1.5
#: SIFT looks at 4 × 4 bins.
_REACH = 2 * BIN


def dense_sift(image: Image, size: int) -> FloatArray:
    """(H, W, 3) → (N, 128) upright SIFT descriptors on a grid of the resized square.

    Args:
        image: RGB.
        size: side of the square in pixels; descriptors reach 16 pixels about their middle.
    """
    grey = cv2.cvtColor(resize_square(image, size), cv2.COLOR_RGB2GRAY)
    steps = range(_REACH, size - _REACH + 1, STRIDE)
    points = [cv2.KeyPoint(float(x), float(y), _KEYPOINT, 0.0) for y in steps for x in steps]
    _, found = cv2.SIFT.create().compute(grey, points)
    return np.asarray(found, np.float32)


class FisherEncoder:
    """An encoder of both domains alike: `fit` it, then measure it.

    Args:
        gaussians: K; the vectors have 2 × K × 64 numbers.
        size: side of the square in pixels.
        seed: of the sample, the PCA and the Gaussians.
        sample: how many descriptors they are fitted to.
    """

    def __init__(
        self, gaussians: int = 64, size: int = 224, seed: int = 0, sample: int = 200_000
    ) -> None:
        if size < 2 * _REACH:
            raise UsageError(f"dense SIFT wants pictures of {2 * _REACH} px or more, not {size}")
        self.gaussians, self.size, self.seed, self.sample = gaussians, size, seed, sample
        self._pca: PCA | None = None
        self._mixture: GaussianMixture | None = None

    @property
    def name(self) -> str:
        return f"dsift-fv-{self.gaussians}"

    @property
    def embedding_dim(self) -> int:
        return 2 * self.gaussians * REDUCED

    @property
    def reranks(self) -> bool:
        return False

    @property
    def fingerprint(self) -> str:
        digest = hashlib.sha256(f"{self.gaussians} {self.size}".encode())
        pca, mixture = self._fitted()
        for part in (pca.components_, mixture.means_, mixture.covariances_, mixture.weights_):
            digest.update(np.ascontiguousarray(part).tobytes())
        return digest.hexdigest()[:32]

    def fit(self, images: Iterable[Image], count: int) -> FisherEncoder:
        """Fits the PCA and the Gaussians to descriptors of training pictures.

        Args:
            images: of both domains.
            count: how many there are, so that each gives its share of the sample.
        """
        rng = np.random.default_rng(self.seed)
        share = -(-self.sample // max(count, 1))
        parts = []
        for image in images:
            found = dense_sift(image, self.size)
            parts.append(found[rng.permutation(len(found))[:share]])
        if not parts:
            raise UsageError("there is no picture to fit the Gaussians to")
        descriptors = np.concatenate(parts)
        self._pca = PCA(REDUCED, random_state=self.seed).fit(descriptors)
        self._mixture = GaussianMixture(
            self.gaussians, covariance_type="diag", random_state=self.seed, max_iter=30, tol=1e-2
        ).fit(self._pca.transform(descriptors))
        return self

    def vector(self, image: Image) -> FloatArray:
        """(H, W, 3) → (2 × K × 64,) of unit length, each number's sign and root kept.

        The gradients of the Gaussians' weights, which scikit-image gives first, are left out as in
        the paper.
        """
        from skimage.feature import fisher_vector

        pca, mixture = self._fitted()
        reduced = pca.transform(dense_sift(image, self.size))
        whole: npt.NDArray[np.float64] = fisher_vector(  # type: ignore[no-untyped-call]
            reduced, mixture
        )
        moved = whole[self.gaussians :]
        rooted = np.sign(moved) * np.sqrt(np.abs(moved))
        return np.asarray(rooted / max(float(np.linalg.norm(rooted)), 1e-12), np.float32)

    def _vectors(self, images: Sequence[ImageInput]) -> FloatArray:
        if not len(images):
            return np.zeros((0, self.embedding_dim), np.float32)
        plain = (i.pixels if isinstance(i, PreparedImage) else i for i in images)
        return np.stack([self.vector(image) for image in plain])

    def encode_street(self, images: Sequence[ImageInput]) -> StreetEncoding:
        return StreetEncoding(self._vectors(images), None)

    def encode_shop(
        self, images: Sequence[ImageInput], tags: Sequence[Sequence[str]]
    ) -> ShopEncoding:
        return ShopEncoding(self._vectors(images), np.ones(len(images), np.float32), None)

    def rerank(self, local: FloatArray, contexts: FloatArray) -> RerankResult:
        raise TypeError("Fisher vectors do not re-rank")

    def _fitted(self) -> tuple[PCA, GaussianMixture]:
        if self._pca is None or self._mixture is None:
            raise UsageError("the Gaussians aren't fitted yet: call fit first")
        return self._pca, self._mixture
