# SPDX-License-Identifier: Apache-2.0
"""What Spark does with files; run by a Python that has PySpark:

    spark_jobs.py JOB FOLDER [--size N] [--master URL] [--local DIR]

Each job reads back what it wrote and compares it with what must be there, prints "half" in its middle, and fails at the first error.
--size: rows, or files of a stream; --local: for what Spark spills, on a local disk."""

import argparse
import json
import os
import sys
import time

from pyspark import TaskContext
from pyspark.sql import SparkSession, functions as F

SLOW_S = 20  # how much longer the task takes that another attempt overtakes


def half():
    print("half", flush=True)


class Spark:
    """A session that ends with the block."""

    def __init__(self, arguments, hive=False, **conf):
        self.builder = SparkSession.builder.master(arguments.master).appName(arguments.job)
        settings = {"spark.driver.memory": "1g", "spark.executor.memory": "1g", "spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false",
                    "spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1",
                    "spark.sql.shuffle.partitions": "4", "spark.driver.extraJavaOptions": f"-Dderby.system.home={arguments.local}", "spark.local.dir": arguments.local,
                    "spark.sql.warehouse.dir": os.path.join(arguments.folder, "warehouse"),
                    "spark.hadoop.mapreduce.fileoutputcommitter.algorithm.version": "1"}
        for name, value in {**settings, **{name.replace("_", "."): value for name, value in conf.items()}}.items():
            self.builder = self.builder.config(name, value)
        if hive:
            store = f"jdbc:derby:;databaseName={os.path.join(arguments.folder, 'metastore')};create=true"
            self.builder = self.builder.config("spark.hadoop.javax.jdo.option.ConnectionURL", store).enableHiveSupport()

    def __enter__(self):
        self.session = self.builder.getOrCreate()
        self.session.sparkContext.setLogLevel("ERROR")
        return self.session

    def __exit__(self, *_):
        self.session.stop()


def rows(spark, begin, end):
    """id, a day of four, a text that follows from the id."""
    return spark.range(begin, end).select("id", (F.col("id") % 4).cast("int").alias("day"), F.sha2(F.col("id").cast("string"), 256).alias("text"))


def check(table, begin, end, times=1):
    """Each id is there so many times, with its text."""
    found = table.select(F.count("*"), F.sum(F.col("id").cast("long")),
                         F.sum((F.col("text") == F.sha2(F.col("id").cast("string"), 256)).cast("int"))).first()
    count = (end - begin) * times
    expected = (count, sum(range(begin, end)) * times, count)
    assert tuple(found) == expected, f"{tuple(found)} is read, not {expected}"


def files_of(folder):
    return [name for _, _, names in os.walk(folder) for name in names]


def no_rest_in(folder):
    left = [os.path.join(where, name) for where, folders, names in os.walk(folder) for name in folders + names if "_temporary" in name]
    assert not left, f"left behind: {left[:5]}"


def tables(arguments):
    """parquet, csv and json: overwritten, appended to, overwritten again; one of them by partitions."""
    n = arguments.size
    schema = "id long, day int, text string"
    with Spark(arguments) as spark:
        for kind in ("parquet", "csv", "json"):
            path = os.path.join(arguments.folder, kind)
            rows(spark, 0, n).write.mode("overwrite").format(kind).save(path)
            check(spark.read.schema(schema).format(kind).load(path), 0, n)
            if kind == "csv":
                half()
            rows(spark, 0, n).write.mode("append").format(kind).save(path)
            check(spark.read.schema(schema).format(kind).load(path), 0, n, times=2)
            rows(spark, n, 2 * n).write.mode("overwrite").format(kind).save(path)
            check(spark.read.schema(schema).format(kind).load(path), n, 2 * n)
            assert "_SUCCESS" in os.listdir(path)
            no_rest_in(path)


def partitions(arguments):
    """Overwrites only the partitions that it has rows for."""
    n, path = arguments.size, os.path.join(arguments.folder, "days")
    with Spark(arguments, spark_sql_sources_partitionOverwriteMode="dynamic") as spark:
        rows(spark, 0, n).write.mode("overwrite").partitionBy("day").parquet(path)
        check(spark.read.parquet(path), 0, n)
        before = {day: sorted(os.listdir(os.path.join(path, f"day={day}"))) for day in range(4)}
        for day in (1, 3):
            rows(spark, 0, n).where(F.col("day") == day).write.mode("overwrite").partitionBy("day").parquet(path)
            if day == 1:
                half()
        check(spark.read.parquet(path), 0, n)
        after = {day: sorted(os.listdir(os.path.join(path, f"day={day}"))) for day in range(4)}
        assert [day for day in range(4) if before[day] != after[day]] == [1, 3], "other partitions were written as well"
        no_rest_in(path)


def slow_at_first(index, iterator):
    """The first attempt at part 0 is slow: a second one is started elsewhere, and ends earlier."""
    if index == 0 and TaskContext.get().attemptNumber() == 0:
        time.sleep(SLOW_S)
    yield from iterator


def speculation(arguments):
    """FileOutputCommitter v1 with two attempts at one task: exactly one of them is in the result."""
    n, path = arguments.size, os.path.join(arguments.folder, "speculated")
    conf = {"spark_speculation": "true", "spark_speculation_interval": "200ms", "spark_speculation_multiplier": "1.2",
            "spark_speculation_quantile": "0.5", "spark_speculation_minTaskRuntime": "500ms"}
    with Spark(arguments, **conf) as spark:
        for kind in ("parquet", "csv"):
            slow = spark.createDataFrame(rows(spark, 0, n).repartition(6).rdd.mapPartitionsWithIndex(slow_at_first), "id long, day int, text string")
            begin = time.monotonic()
            slow.write.mode("overwrite").format(kind).save(path)
            print(f"{kind}: {time.monotonic() - begin:.0f} s", flush=True)
            check(spark.read.schema("id long, day int, text string").format(kind).load(path), 0, n)
            assert sum(name.startswith("part-") for name in files_of(path)) == 6, files_of(path)
            no_rest_in(path)
            if kind == "parquet":
                half()
    attempts = [name for name in files_of(path) if name.startswith("part-00000")]
    assert len(attempts) == 1, attempts


def feed(folder, number):
    """File N of the stream, as a producer writes it: under another name first."""
    path = os.path.join(folder, f"{number:04}.json")
    if not os.path.exists(path):
        with open(path + ".tmp", "w") as f:
            f.writelines(json.dumps({"id": number * 100 + i, "text": f"row {number * 100 + i}"}) + "\n" for i in range(100))
        os.replace(path + ".tmp", path)


def streaming(arguments):
    """A stream with its source, sink, state and checkpoint on the mount. Killed and started again it goes on; each row arrives once."""
    source, sink, state = (os.path.join(arguments.folder, name) for name in ("source", "sink", "checkpoint"))
    os.makedirs(source, exist_ok=True)
    with Spark(arguments) as spark:
        stream = spark.readStream.schema("id long, text string").option("pathGlobFilter", "*.json").option("maxFilesPerTrigger", 2).json(source)
        for number in range(arguments.size):
            feed(source, number)
            if number % 3 < 2 and number + 1 < arguments.size:
                continue
            query = stream.dropDuplicates(["id"]).writeStream.format("parquet").option("path", sink).option(
                "checkpointLocation", state).trigger(availableNow=True).start()
            query.awaitTermination()
            print(f"fed {number}", flush=True)
            if number == arguments.size // 2 // 3 * 3 + 2:
                half()
        found = spark.read.parquet(sink).select(F.count("*"), F.countDistinct("id"), F.sum((F.col("text") == F.concat(F.lit("row "), "id")).cast("int"))).first()
        assert tuple(found) == (arguments.size * 100,) * 3, f"{tuple(found)} of {arguments.size * 100} rows"


def warehouse(arguments):
    """Tables of a Hive metastore, which is a Derby database: all on the mount. Run once more it finds what the first run left."""
    n = arguments.size
    with Spark(arguments, hive=True, spark_sql_sources_partitionOverwriteMode="dynamic") as spark:
        again = spark.catalog.tableExists("sales")
        if not again:
            spark.sql("CREATE TABLE sales (id BIGINT, text STRING, day INT) USING parquet PARTITIONED BY (day)")
            rows(spark, 0, n).select("id", "text", "day").write.insertInto("sales")
        check(spark.table("sales"), 0, n)
        half()
        rows(spark, 0, n).createOrReplaceTempView("new")
        spark.sql("INSERT OVERWRITE TABLE sales PARTITION (day) SELECT id, text, day FROM new WHERE day = 2")
        check(spark.table("sales"), 0, n)
        spark.sql("DROP TABLE IF EXISTS copies")
        spark.sql("CREATE TABLE copies USING json AS SELECT * FROM sales WHERE day < 2")
        assert spark.table("copies").count() == spark.table("sales").where("day < 2").count()
        print("found" if again else "made", flush=True)


JOBS = (tables, partitions, speculation, streaming, warehouse)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("job", choices=[job.__name__ for job in JOBS])
    parser.add_argument("folder")
    parser.add_argument("--size", type=int, default=20000)
    parser.add_argument("--master", default="local[2]")
    parser.add_argument("--local", default="/tmp")
    arguments = parser.parse_args()
    arguments.folder = os.path.abspath(arguments.folder)
    globals()[arguments.job](arguments)
    print("done", flush=True)


if __name__ == "__main__":
    sys.exit(main())
