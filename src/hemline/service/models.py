"""Schemas of the API's answers, for its OpenAPI document (docs/service.md describes them)."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from hemline.catalog.store import Facet

Alike = Literal["same", "similar", "different"]


class Attention(BaseModel):
    """Weights over an image, row by row."""

    grid: tuple[int, int]
    weights: list[float]


class HitModel(BaseModel):
    """A hit; with ``why`` it has its ``attention`` over ``box``."""

    item_id: str
    image_id: str
    score: float
    rank: int
    alike: Alike | None
    columns: dict[str, Any]
    picture: str | None
    attention: Attention | None = None


class DetectionModel(BaseModel):
    """A garment; its box is in pixels of the upright photo."""

    box: list[float] = Field(min_length=4, max_length=4)
    category: str
    group: str
    score: float


class SimilarModel(BaseModel):
    """Hits, best first."""

    hits: list[HitModel]
    facets: dict[str, Facet]
    offset: int
    more: bool
    revision: int
    timings_ms: dict[str, float]
    search_id: str
    note: str = Field(description="Why no product meets the condition, where none does.")


class SearchModel(SimilarModel):
    """The answer to photos."""

    box: list[float] | None
    size: tuple[int, int]
    detections: list[DetectionModel]


class DetectModel(BaseModel):
    """The garments of a photo, best score first."""

    size: tuple[int, int]
    detections: list[DetectionModel]
    timings_ms: dict[str, float]


class FacetsModel(BaseModel):
    facets: dict[str, Facet]
    revision: int
    note: str


class PictureModel(BaseModel):
    """An image of a product; with ``why`` it has the shop tower's ``attention``."""

    image_id: str
    picture: str | None
    attention: Attention | None = None


class ItemModel(BaseModel):
    item_id: str
    category: str
    tags: list[str]
    columns: dict[str, Any]
    pictures: list[PictureModel]


class CountsModel(BaseModel):
    items: int
    pictures: int


class ItemsModel(BaseModel):
    """A page of products in the order of their ids; ``counts`` is of all pages."""

    items: list[ItemModel]
    counts: CountsModel
    after: str | None
    revision: int
    note: str


class WrittenModel(BaseModel):
    """The result of a write."""

    item_id: str
    status: Literal["added", "updated", "unchanged", "removed"]
    pictures: int


class FeedbackModel(BaseModel):
    kept: bool


class JobModel(BaseModel):
    """A background job."""

    id: str
    kind: str
    state: Literal["waiting", "running", "done", "failed"]
    done: int
    total: int
    result: dict[str, Any] | None
    error: str | None
    begun: float


class JobsModel(BaseModel):
    jobs: list[JobModel]


class PhotoModel(BaseModel):
    """A shared photo: its id, and for how many seconds it is kept."""

    id: str
    seconds: int


class InfoModel(BaseModel):
    """Bundle, catalogue, limits, sample photos, and what the shop has chosen for its page."""

    version: str
    bundle: dict[str, Any]
    catalog: dict[str, Any]
    detector: bool
    keeps_photos: int = Field(description="Days for which photos are kept, with consent; or 0.")
    limits: dict[str, float]
    samples: list[dict[str, str]]
    page: dict[str, bool]


class StatsModel(BaseModel):
    """Statistics for the admin page."""

    catalog: dict[str, Any]
    searches: dict[str, Any]
    recent: list[dict[str, Any]]
    feedback: dict[str, int]
    journal: dict[str, str | None]
    jobs: list[JobModel]
    service: dict[str, Any]


class HealthModel(BaseModel):
    status: str


def body(*, json_schema: dict[str, Any] | None = None, form: dict[str, Any] | None = None) -> Any:
    """``openapi_extra`` of an endpoint that parses its body itself."""
    content: dict[str, Any] = {}
    if form is not None:
        content["multipart/form-data"] = {"schema": form}
    if json_schema is not None:
        content["application/json"] = {"schema": json_schema}
    return {"requestBody": {"required": True, "content": content}}


FILE: dict[str, Any] = {"type": "string", "contentMediaType": "application/octet-stream"}
BASE64: dict[str, Any] = {"type": "string", "contentEncoding": "base64"}
