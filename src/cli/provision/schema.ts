// The schema of a stream: in its file, in the account, and how the two differ.

import * as z from 'zod'

/** One column of a stream, or the items of a list, which have no name. */
export interface Field {
  readonly name?: string | undefined
  readonly type: string
  /** What a number in a timestamp counts. */
  readonly unit?: string | undefined
  readonly required?: boolean | undefined
  readonly items?: Field | undefined
  readonly fields?: readonly Field[] | undefined
}

/** Reads what defines a column, and leaves out what the account adds, such as `sql_name`. */
const fieldShape: z.ZodType<Field> = z.object({
  name: z.string().optional(),
  type: z.string(),
  unit: z.string().nullish().transform(absent),
  required: z.boolean().nullish().transform(absent),
  get items() {
    return fieldShape.nullish().transform(absent)
  },
  get fields() {
    return z.array(fieldShape).nullish().transform(absent)
  },
})

/** A schema as `wrangler basin pipelines streams create --schema-file` reads it, and as the account returns it. */
export const schemaShape = z.object({ fields: z.array(fieldShape) })

export type Schema = z.infer<typeof schemaShape>

/** Compares the account's schema with the wanted one, column by column. The order of columns does not matter. */
export function diffSchemas(wanted: Schema, found: Schema | undefined): string[] {
  if (found === undefined) return ['it is unstructured: a single column "value", no schema']
  const wantedFields = byName(wanted)
  const foundFields = byName(found)
  return [...new Set([...wantedFields.keys(), ...foundFields.keys()])].flatMap((name) => {
    const wantedField = describe(wantedFields.get(name))
    const foundField = describe(foundFields.get(name))
    return wantedField === foundField ? [] : [`${name}: the account has ${foundField}, wanted is ${wantedField}`]
  })
}

function byName({ fields }: Schema): ReadonlyMap<string, Field> {
  return new Map(fields.map((field) => [field.name ?? '', field]))
}

function describe(field: Field | undefined): string {
  if (field === undefined) return 'no such column'
  const { required = false } = field
  return `${describeType(field)} ${required ? 'required' : 'optional'}`
}

function describeType({ type, unit, items, fields }: Field): string {
  if (items !== undefined) return `${type}<${describe(items)}>`
  if (fields !== undefined) return `${type}<${fields.map((field) => `${field.name} ${describe(field)}`).join(', ')}>`
  return unit === undefined ? type : `${type}(${unit})`
}

function absent<T>(value: T | null | undefined): T | undefined {
  return value ?? undefined
}
