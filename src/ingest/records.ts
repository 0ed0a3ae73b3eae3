// From a body's text to records: all of them good, or none taken.

import { CDCError } from '../error.ts'
import { jsonProblem, parseJSON } from '../event/json.ts'
import { type EventRecord, eventRecordSchema } from '../event/record.ts'
import { utf8Bytes } from '../event/utf8.ts'
import { Refusal } from '../http/error-response.ts'
import { countMembers, type JSONShape, jsonShape } from './json-shape.ts'
import { BODY_BYTES_MAX, BODY_DEPTH_MAX, CONTAINERS_MAX, RECORD_BYTES_MAX, RECORDS_MAX } from './limits.ts'

/** How the records stand in a body: as one array, or each on a line of its own. */
export type BodyFormat = 'json' | 'ndjson'

/** The format that a content-type names. @throws {Refusal} 415 for any other. */
export function bodyFormatOf(contentType = ''): BodyFormat {
  const [type = '', ...parameters] = contentType.toLowerCase().split(';')
  const charset = parameters.map((parameter) => parameter.trim()).find((parameter) => parameter.startsWith('charset='))
  const isUtf8 = charset === undefined || /^charset="?utf-8"?$/.test(charset)
  if (isUtf8 && type.trim() === 'application/json') return 'json'
  if (isUtf8 && type.trim() === 'application/x-ndjson') return 'ndjson'
  throw new Refusal(415, 'ingest: send content-type application/json or application/x-ndjson, in UTF-8')
}

/**
 * The records of a body, without the fields that a record does not have.
 *
 * @throws {CDCError} `invalid-argument` where it is no such JSON, or would be changed by being read.
 * @throws {Refusal} 400 with the record's index and field, 413 beyond a limit.
 */
export function parseRecords(text: string, format: BodyFormat): EventRecord[] {
  let bytes = 0
  return (format === 'json' ? parseArray(text) : parseLines(text)).map((given, index) => {
    const record = parseRecord(given, index)
    const recordBytes = utf8Bytes(JSON.stringify(record))
    if (recordBytes > RECORD_BYTES_MAX)
      throw new Refusal(413, `ingest: record ${index} is ${recordBytes} bytes, the limit is ${RECORD_BYTES_MAX}`)
    bytes += recordBytes + 1
    // Numbers become longer: 1e20 has 21 digits.
    if (bytes > BODY_BYTES_MAX)
      throw new Refusal(413, `ingest: the records are over ${BODY_BYTES_MAX} bytes when their numbers are written out`)
    return record
  })
}

function parseArray(text: string): unknown[] {
  const shape = jsonShape(text)
  if (shape.elements > RECORDS_MAX) throw tooMany()
  const records = parseChecked(text, shape, 'the body')
  if (!Array.isArray(records)) throw invalid('the body is not an array of records')
  return records
}

/** A line ends at a line feed, as in NDJSON, with or without a carriage return before it. Blank ones are skipped. */
function parseLines(text: string): unknown[] {
  const records: unknown[] = []
  let containers = 0
  for (let start = 0; start < text.length;) {
    const feed = text.indexOf('\n', start)
    const end = feed === -1 ? text.length : feed
    const line = text.slice(start, end)
    start = end + 1
    if (/^[ \t\r]*$/.test(line)) continue
    if (records.length === RECORDS_MAX) throw tooMany()
    const shape = jsonShape(line)
    containers += shape.containers
    records.push(parseChecked(line, { ...shape, containers, depth: shape.depth + 1 }, `record ${records.length}`))
  }
  return records
}

function parseChecked(text: string, shape: JSONShape, where: string): unknown {
  if (shape.depth > BODY_DEPTH_MAX) throw invalid(`${where} is nested deeper than ${BODY_DEPTH_MAX} levels`)
  if (shape.containers > CONTAINERS_MAX)
    throw new Refusal(413, `ingest: the body has over ${CONTAINERS_MAX} arrays and objects; send smaller batches`)
  if (shape.isRounded) throw invalid(`${where} has an integer above 2^53, which would be rounded; send it as a string`)
  const value = parseJSON(text)
  // The parser's own reason would quote what was sent.
  if (value === undefined) throw invalid(`${where} is not JSON`)
  if (countMembers(value) !== shape.members) throw invalid(`${where} has an object with the same key twice`)
  return value
}

function parseRecord(given: unknown, index: number): EventRecord {
  const parsed = eventRecordSchema.safeParse(given)
  const [issue] = parsed.error?.issues ?? []
  if (!parsed.success) throw badRecord(index, issue?.path.join('.') ?? '', issue?.message ?? 'is not a record')
  const problem = jsonProblem(parsed.data._meta)
  if (problem !== undefined) throw badRecord(index, '_meta', problem)
  return parsed.data
}

function badRecord(index: number, field: string, problem: string): Refusal {
  const where = field === '' ? '' : `${field}: `
  return new Refusal(400, `ingest: record ${index}: ${where}${problem}`, {
    code: 'record-invalid',
    record: { index, field },
  })
}

function tooMany(): Refusal {
  return new Refusal(413, `ingest: the body has over ${RECORDS_MAX} records; send smaller batches`)
}

function invalid(problem: string): CDCError {
  return new CDCError('invalid-argument', `ingest: ${problem}`)
}
