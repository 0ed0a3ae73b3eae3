import { type DatabaseIntrospector, type Kysely, sql, type TableMetadata } from 'kysely'
import { DODialect } from 'kysely-do'

/** Kysely's own introspector reads the platform's tables too, which the platform does not allow once an alarm was set. */
export class ObjectDialect extends DODialect {
  override createIntrospector(db: Kysely<unknown>): DatabaseIntrospector {
    const getTables = async (): Promise<TableMetadata[]> => {
      const { rows } = await sql<{ table: string; name: string; type: string; isRequired: number }>`
        SELECT m.name AS "table", c.name, c.type, c."notnull" AS isRequired
        FROM sqlite_master m JOIN pragma_table_info(m.name) c
        WHERE m.type = 'table' AND substr(m.name, 1, 4) <> '_cf_'`.execute(db)
      return Array.from(
        Map.groupBy(rows, ({ table }) => table),
        ([name, columns]) => ({
          name,
          isView: false,
          isForeign: false,
          columns: columns.map((column) => ({
            name: column.name,
            dataType: column.type,
            isNullable: column.isRequired === 0,
            isAutoIncrementing: false,
            hasDefaultValue: false,
          })),
        }),
      )
    }
    return { getSchemas: async () => [], getTables }
  }
}
