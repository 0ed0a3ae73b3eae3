// AWS Signature Version 4, by which S3 clients show that they know a secret key, as a server checks it: the request is signed
// again, by a library for clients, and both signatures must be the same.
// https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html

import { AwsV4Signer } from 'aws4fetch'
import { isSame } from '../../http/secret.ts'

/** How far the clock of a client may be off, in milliseconds: as S3 has it. */
export const SKEW_MS_MAX = 15 * 60_000

export interface AccessKey {
  readonly id: string
  readonly secret: string
}

/** Why a signature is not accepted, in the words of S3. */
export interface SignatureProblem {
  readonly code: string
  readonly message: string
}

const AUTHORIZATION =
  /^AWS4-HMAC-SHA256 Credential=([^/,]+)\/(\d{8})\/([^/,]+)\/s3\/aws4_request, ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$/

/** Without these a signature would be valid for another host, forever, or for any body. */
const SIGNED_ALWAYS = ['host', 'x-amz-content-sha256', 'x-amz-date']

/** @returns nothing if the request is signed with the key. */
export async function signatureProblem(
  request: Request,
  key: AccessKey,
  nowMs: number,
): Promise<SignatureProblem | undefined> {
  const authorization = request.headers.get('authorization')
  if (authorization === null) return problem('AccessDenied', 'sign the request, or send authorization: Bearer <token>')
  const [, id, date, region = '', names = '', signature = ''] = AUTHORIZATION.exec(authorization) ?? []
  if (id === undefined)
    return problem('AuthorizationHeaderMalformed', 'authorization must be Bearer or AWS Signature Version 4')
  if (id !== key.id) return problem('InvalidAccessKeyId', `the access key id is not ${key.id}`)
  const signed = names.split(';')
  const unsigned = SIGNED_ALWAYS.find((name) => !signed.includes(name))
  if (unsigned !== undefined) return problem('AccessDenied', `the header ${unsigned} must be signed`)
  const datetime = request.headers.get('x-amz-date') ?? ''
  if (!datetime.startsWith(`${date}T`) || !(Math.abs(timeOf(datetime) - nowMs) <= SKEW_MS_MAX))
    return problem('RequestTimeTooSkewed', `the clocks differ by more than ${SKEW_MS_MAX / 60_000} minutes`)
  const signer = new AwsV4Signer({
    method: request.method,
    // The library reads + as a space, as in a form. In a path it is a plus sign.
    url: request.url.replace(/^[^?]*/, (beforeQuery) => beforeQuery.replaceAll('+', '%2B')),
    headers: signed.map((name): [string, string] => [name, request.headers.get(name) ?? '']),
    allHeaders: true,
    accessKeyId: id,
    secretAccessKey: key.secret,
    service: 's3',
    region,
    datetime,
  })
  if (await isSame(signature, await signer.signature())) return undefined
  return problem('SignatureDoesNotMatch', 'the request was signed with another secret key, or changed on the way')
}

/** Milliseconds since 1970 of `20261122T083000Z`, or NaN. */
function timeOf(datetime: string): number {
  return Date.parse(datetime.replace(/^(\d{4})(\d\d)(\d\dT\d\d)(\d\d)(\d\dZ)$/, '$1-$2-$3:$4:$5'))
}

function problem(code: string, message: string): SignatureProblem {
  return { code, message }
}
