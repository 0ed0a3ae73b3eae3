// What others do to the lake's table, by Apache Iceberg's own library: a compaction that stores all files anew, a rewrite of the
// manifests, an expiry of all snapshots but the current one, and a new column. Run as: java Others.java <catalog> <s3>

import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import org.apache.iceberg.DataFile;
import org.apache.iceberg.DataFiles;
import org.apache.iceberg.FileScanTask;
import org.apache.iceberg.Table;
import org.apache.iceberg.catalog.TableIdentifier;
import org.apache.iceberg.io.CloseableIterable;
import org.apache.iceberg.rest.RESTCatalog;
import org.apache.iceberg.types.Types;

public class Others {
  public static void main(String[] args) throws Exception {
    RESTCatalog catalog = new RESTCatalog();
    catalog.initialize("others", Map.of(
        "uri", args[0],
        "io-impl", "org.apache.iceberg.aws.s3.S3FileIO",
        "s3.endpoint", args[1],
        "s3.path-style-access", "true",
        "s3.access-key-id", "any",
        "s3.secret-access-key", "any",
        "client.region", "us-east-1",
        "http-client.type", "urlconnection"));
    Table table = catalog.loadTable(TableIdentifier.of("cdc", "events"));
    compact(table);
    table.rewriteManifests().clusterBy(file -> "all").commit();
    table.expireSnapshots().retainLast(1).expireOlderThan(System.currentTimeMillis()).cleanExpiredFiles(false).commit();
    String column = "score_" + table.schema().columns().size();
    table.updateSchema().addColumn(column, Types.DoubleType.get()).commit();
    System.out.println(table.currentSnapshot().snapshotId());
  }

  private static void compact(Table table) throws Exception {
    Set<DataFile> before = new HashSet<>();
    Set<DataFile> after = new HashSet<>();
    try (CloseableIterable<FileScanTask> tasks = table.newScan().planFiles()) {
      for (FileScanTask task : tasks) {
        DataFile file = task.file();
        String path = table.location() + "/data/compacted-" + java.util.UUID.randomUUID() + ".parquet";
        try (var in = table.io().newInputFile(file.location()).newStream();
            var out = table.io().newOutputFile(path).create()) {
          in.transferTo(out);
        }
        before.add(file.copy());
        after.add(DataFiles.builder(table.specs().get(file.specId())).copy(file).withPath(path).build());
      }
    }
    // A rewrite has one partition spec.
    for (int spec : table.specs().keySet()) {
      Set<DataFile> removed = new HashSet<>(before);
      removed.removeIf(file -> file.specId() != spec);
      Set<DataFile> added = new HashSet<>(after);
      added.removeIf(file -> file.specId() != spec);
      long base = table.currentSnapshot().snapshotId();
      if (!removed.isEmpty()) table.newRewrite().validateFromSnapshot(base).rewriteFiles(removed, added).commit();
    }
  }
}
