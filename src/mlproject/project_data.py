"""What a project's `data` section asks ingest for."""

from __future__ import annotations

from pathlib import Path

from mlproject.anomalies import SERVING_SPLIT
from mlproject.config import Project
from mlproject.examples.request import (
    BigQueryQuery,
    DatabaseQuery,
    ImageOptions,
    IngestRequest,
)
from mlproject.examples.spans import Window
from mlproject.examples.split_rules import ByTime, ByValue


def ingest_request(project: Project) -> IngestRequest:
    """The ingest that a project asks for; types of a reviewed schema stand where it has them."""
    data = project.config.data
    sources = project.source_paths()
    images = data.images
    by = data.split_by
    rule: ByValue | ByTime | None = None
    if by is not None:
        rule = (
            ByTime(by.column, by.ends()) if by.before else ByValue(by.column, by.texts(), by.rest)
        )
    return IngestRequest(
        source=sources.get(None),
        split_sources=tuple((n, p) for n, p in sources.items() if n is not None),
        database=_database(project),
        format=data.format,
        shares=tuple(data.splits.items()),
        split_key=data.split_key,
        split_by=rule,
        window=Window(data.window, data.span),
        span_column=data.span_column,
        delimiter=data.delimiter,
        null_values=data.null_values,
        column_types=tuple(sorted(data.column_types.items())),
        type_hints=_schema_types(project.schema_path),
        images=ImageOptions(images.height, images.width, images.channels, images.keep),
        on_bad_file=images.on_bad_file,
    )


def serving_request(project: Project) -> IngestRequest | None:
    """The ingest of the rows seen at serving, as a split `serving`; None where there are none."""
    path = project.config.validation.serving_path
    if path is None:
        return None
    asked = ingest_request(project)
    # Declared types are hints here: what is served lacks the label's columns.
    return IngestRequest(
        split_sources=((SERVING_SPLIT, project.located(path)),),
        delimiter=asked.delimiter,
        null_values=asked.null_values,
        type_hints=tuple({**dict(asked.type_hints), **dict(asked.column_types)}.items()),
        images=asked.images,
    )


def _database(project: Project) -> DatabaseQuery | BigQueryQuery | None:
    sql, big = project.config.data.sql, project.config.data.bigquery
    if sql is not None:
        return DatabaseQuery(
            connection_env=sql.connection_env,
            file=project.located(sql.file) if sql.file else "",
            table=sql.table,
            query=sql.query,
            parameters=tuple(sql.parameters.items()),
            key=sql.key,
            version_query=sql.version_query,
        )
    if big is not None:
        return BigQueryQuery(big.table, big.query, tuple(big.parameters.items()), big.location)
    return None


def _schema_types(path: Path | None) -> tuple[tuple[str, str], ...]:
    if path is None:
        return ()
    from mlproject.schema import read_schema

    names = {"INT": "int", "FLOAT": "float", "BYTES": "string"}
    schema = read_schema(path)
    types = ((f.name, type(f).DESCRIPTOR.fields_by_name["type"], f.type) for f in schema.feature)
    named = ((n, d.enum_type.values_by_number[t].name) for n, d, t in types)
    return tuple((name, names[kind]) for name, kind in named if kind in names)
