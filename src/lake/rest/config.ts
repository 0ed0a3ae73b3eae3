// How a lake is told which Iceberg REST catalog its table is in.

import { Fields } from '../../event/fields.ts'
import { oneOf, optional, text, textLike, withDefault } from '../../event/kinds.ts'

/** The variables of a Worker whose lake commits to an Iceberg REST catalog. Without `LAKE_CATALOG_URI` it has its own. */
export interface CatalogVariables {
  /** The catalog's address, without `/v1`. */
  LAKE_CATALOG_URI?: string
  /** A bearer token, to be kept as a secret. */
  LAKE_CATALOG_TOKEN?: string
  /** `<client id>:<client secret>` of OAuth2, in place of a token; to be kept as a secret. */
  LAKE_CATALOG_CREDENTIAL?: string
  /** Where OAuth2 gives a token. Default: the catalog's own `v1/oauth/tokens`. */
  LAKE_CATALOG_OAUTH_URI?: string
  /** Default: `catalog`. */
  LAKE_CATALOG_SCOPE?: string
  /** The warehouse, for a catalog that has several. */
  LAKE_CATALOG_WAREHOUSE?: string
  /** The table, after its namespace. Default: `cdc.events`. */
  LAKE_CATALOG_TABLE?: string
  /** Who compacts files and lets snapshots expire: the `lake`, which is the default, or the `catalog`. */
  LAKE_CATALOG_UPKEEP?: string
}

export interface CatalogConfig {
  readonly uri: string
  readonly auth: CatalogAuth
  readonly warehouse: string | undefined
  readonly namespace: string[]
  readonly table: string
  readonly isKeptByCatalog: boolean
}

export type CatalogAuth =
  | { readonly kind: 'none' }
  | { readonly kind: 'token'; readonly token: string }
  | {
      readonly kind: 'oauth2'
      readonly uri: string
      readonly clientId: string
      readonly clientSecret: string
      readonly scope: string
    }

const url = textLike(/^https?:\/\/[^\s?#]+$/, 'must be an address, https://…, without a query')
const secret = text(8_192)
const word = text(1_024)

const fields = new Fields<CatalogVariables & { LAKE_CATALOG_URI: string; LAKE_CATALOG_TABLE: string }>(
  {
    LAKE_CATALOG_URI: url,
    LAKE_CATALOG_TOKEN: optional(secret),
    LAKE_CATALOG_CREDENTIAL: optional(textLike(/^[^:]+:.+$/, 'must be <client id>:<client secret>')),
    LAKE_CATALOG_OAUTH_URI: optional(url),
    LAKE_CATALOG_SCOPE: optional(word),
    LAKE_CATALOG_WAREHOUSE: optional(word),
    LAKE_CATALOG_TABLE: withDefault(textLike(/^[^.\s]+(\.[^.\s]+)+$/, 'must be <namespace>.<table>'), 'cdc.events'),
    LAKE_CATALOG_UPKEEP: optional(oneOf(['lake', 'catalog'])),
  },
  {
    rule: ({ LAKE_CATALOG_TOKEN: token, LAKE_CATALOG_CREDENTIAL: credential }) =>
      token !== undefined && credential !== undefined
        ? 'has both LAKE_CATALOG_TOKEN and LAKE_CATALOG_CREDENTIAL; remove one'
        : undefined,
  },
)

/** The catalog of a Worker's variables; nothing if they name none. @throws {CDCError} `invalid-config`, naming the variable. */
export function catalogConfig(env: CatalogVariables): CatalogConfig | undefined {
  const given = catalogVariables(env)
  if (Object.keys(given).length === 0) return undefined
  const variables = fields.parse(given, 'lake', 'invalid-config')
  const path = variables.LAKE_CATALOG_TABLE.split('.')
  return {
    uri: variables.LAKE_CATALOG_URI.replace(/\/+$/, ''),
    auth: authOf(variables),
    warehouse: variables.LAKE_CATALOG_WAREHOUSE,
    namespace: path.slice(0, -1),
    table: path.at(-1) ?? '',
    isKeptByCatalog: variables.LAKE_CATALOG_UPKEEP === 'catalog',
  }
}

/** Those of some variables that are about a catalog, and that are set. */
export function catalogVariables(env: object): CatalogVariables {
  return Object.fromEntries(
    Object.entries(env).filter(
      ([name, value]) => name.startsWith('LAKE_CATALOG_') && value !== '' && value !== undefined,
    ),
  )
}

function authOf(variables: CatalogVariables): CatalogAuth {
  const { LAKE_CATALOG_URI: uri = '', LAKE_CATALOG_TOKEN: token, LAKE_CATALOG_CREDENTIAL: credential } = variables
  if (token !== undefined) return { kind: 'token', token }
  if (credential === undefined) return { kind: 'none' }
  const colon = credential.indexOf(':')
  return {
    kind: 'oauth2',
    uri: variables.LAKE_CATALOG_OAUTH_URI ?? `${uri.replace(/\/+$/, '')}/v1/oauth/tokens`,
    clientId: credential.slice(0, colon),
    clientSecret: credential.slice(colon + 1),
    scope: variables.LAKE_CATALOG_SCOPE ?? 'catalog',
  }
}
