# The process that PyIceberg and DuckDB's iceberg extension run in: on stdin what to ask and whom, on stdout an array of
# rows, with the error as a text in place of the rows of a question that failed.
#
#   { engine: "pyiceberg" | "duckdb", url, token, questions: [{ sql, snapshot?, filter? }] }
#
# PyIceberg has no SQL. It reads the table, and DuckDB, without its extension, answers from what it read.

import importlib
import json
import os
import sys

import duckdb
from pyiceberg.catalog import load_catalog


def connect():
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def pyiceberg(url, token):
    table = load_catalog("lake", type="rest", uri=url, token=token).load_table("cdc.events")

    def ask(sql, snapshot=None, filter=None):
        scan = table.scan(row_filter=filter or "true", snapshot_id=snapshot)
        connection = connect()
        connection.register("events", scan.to_arrow())
        return connection.execute(sql).fetchall()

    return ask


def duckdb_iceberg(url, token):
    connection = connect()
    for name in ["httpfs", "avro", "iceberg"]:
        package = os.path.dirname(importlib.import_module(f"duckdb_extension_{name}").__file__)
        connection.execute(f"LOAD '{package}/extensions/v{duckdb.__version__}/{name}.duckdb_extension'")
    connection.execute(f"ATTACH 'lake' AS lake (TYPE iceberg, ENDPOINT '{url}', TOKEN '{token}')")

    def ask(sql, snapshot=None, filter=None):
        version = "" if snapshot is None else f" AT (VERSION => {snapshot})"
        connection.execute(f"CREATE OR REPLACE TEMP VIEW events AS FROM lake.cdc.events{version}")
        return connection.execute(sql).fetchall()

    return ask


def answer(ask, question):
    try:
        return [[None if cell is None else str(cell) for cell in row] for row in ask(**question)]
    except Exception as error:
        return text(error)


def answers(engine, url, token, questions):
    try:
        ask = {"pyiceberg": pyiceberg, "duckdb": duckdb_iceberg}[engine](url, token)
    except Exception as error:
        return [text(error) for _ in questions]
    return [answer(ask, question) for question in questions]


def text(error):
    return f"{type(error).__name__}: {error}"


json.dump(answers(**json.load(sys.stdin)), sys.stdout)
