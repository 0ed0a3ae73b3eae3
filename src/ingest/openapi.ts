// The OpenAPI description of the ingest (spec.openapis.org/oas/v3.1.1), made from the table of fields that it checks with.

import type { JSONSchema } from '../event/kinds.ts'
import { recordFields } from '../event/record.ts'
import { BODY_BYTES_MAX, KEY_LENGTH_MAX, RECORDS_MAX } from './limits.ts'

const count = { type: 'integer', minimum: 0 }

const ACCEPTED: JSONSchema = {
  type: 'object',
  properties: {
    success: { const: true },
    result: {
      type: 'object',
      properties: { committed: { ...count, description: 'how many records the request had' } },
      required: ['committed'],
    },
  },
  required: ['success', 'result'],
}

const REFUSAL: JSONSchema = {
  type: 'object',
  properties: {
    error: { type: 'string', description: 'where, what, and what to do' },
    code: { type: 'string' },
    retryable: { type: 'boolean', description: 'whether the same request can succeed later' },
    index: { ...count, description: 'the record that is to blame, counted from 0' },
    field: { type: 'string', description: 'the field of that record' },
  },
  required: ['error', 'code', 'retryable'],
}

const REFUSALS: Readonly<Record<number, string>> = {
  400: 'The body, a record or the idempotency key is invalid.',
  401: 'There is no token, or it is not valid.',
  403: 'The ingest is closed, or the token does not cover the ns of a record.',
  408: 'The body arrived too slowly.',
  413: 'The body or a record is too large, or there are too many records.',
  415: 'The content-type or the content-encoding is not supported.',
  422: 'The pipeline refused the records, and would refuse them again.',
  429: 'There were too many requests, or the pipeline is full; retry after the seconds in retry-after.',
  503: 'The pipeline failed, and may have the records or not; repeat the request, unchanged.',
}

/** @param path where the ingest is mounted, such as `/ingest`. */
export function describeIngest(path: string): object {
  return {
    openapi: '3.1.1',
    info: { title: 'durable-outbox ingest', version: '1' },
    paths: {
      [path || '/']: {
        post: {
          operationId: 'ingest',
          summary: 'Takes events: all records of the request, or none.',
          description:
            'Repeat a request, unchanged and with the same idempotency-key, until it is answered: it is accepted once. ' +
            `A body is at most ${BODY_BYTES_MAX} bytes, before and after decompression.`,
          security: [{ bearer: [] }],
          parameters: [
            {
              name: 'idempotency-key',
              in: 'header',
              description: 'The name of this batch. Default: made from the ids of the records.',
              schema: { type: 'string', minLength: 1, maxLength: KEY_LENGTH_MAX, pattern: '^[!-~]+$' },
            },
            {
              name: 'content-encoding',
              in: 'header',
              schema: { type: 'string', enum: ['gzip', 'identity'] },
            },
          ],
          requestBody: {
            required: true,
            content: {
              'application/json': {
                schema: { type: 'array', maxItems: RECORDS_MAX, items: { $ref: '#/components/schemas/EventRecord' } },
              },
              'application/x-ndjson': {
                schema: { type: 'string', description: 'a record as JSON on each line' },
              },
            },
          },
          responses: {
            200: { description: 'The pipeline has accepted all records.', content: json('Accepted') },
            ...Object.fromEntries(
              Object.entries(REFUSALS).map(([status, description]) => [
                status,
                { description, content: json('Refusal') },
              ]),
            ),
          },
        },
      },
    },
    components: {
      securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } },
      schemas: {
        EventRecord: recordFields.json,
        Accepted: ACCEPTED,
        Refusal: REFUSAL,
      },
    },
  }
}

function json(schema: string): object {
  return { 'application/json': { schema: { $ref: `#/components/schemas/${schema}` } } }
}
