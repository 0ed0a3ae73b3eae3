// Adds to a wrangler configuration what is not there yet, and leaves every other byte as it is. What is to be added is a
// fragment: a configuration that holds nothing else.

import { isDeepStrictEqual } from 'node:util'
import { applyEdits, modify } from 'jsonc-parser'
import { stringify as stringifyTOML } from 'smol-toml'
import { type ConfigFormat, parseConfigText } from '../wrangler-config.ts'

export interface Fragment {
  readonly [key: string]: Value
}
type Value = string | Fragment | readonly (string | Fragment)[]

/** The fragment that adds to an environment, or without one to the top level. */
export function inEnvironment(environment: string | undefined, fragment: Fragment): Fragment {
  return environment === undefined ? fragment : { env: { [environment]: fragment } }
}

/** Fragments as one, as the configuration's owner would write it. */
export function showFragments(fragments: readonly Fragment[], format: ConfigFormat): string {
  const whole = fragments.reduce<unknown>(merged, {})
  return format === 'toml' ? stringifyTOML(whole).trim() : JSON.stringify(whole, null, 2)
}

/**
 * Adds a fragment: its lists' items to the lists, its values where there are none. Of all texts that could be right, it
 * takes one that reads back as exactly what is wanted.
 *
 * @returns the new text, or nothing if no text does.
 */
export function extendConfig(text: string, format: ConfigFormat, fragment: Fragment): string | undefined {
  const goal = merged(plain(parseConfigText(text, format)), fragment)
  const eol = text.includes('\r\n') ? '\r\n' : '\n'
  const candidates =
    format === 'toml'
      ? [...insertedIntoTable(text, fragment, eol), appended(text, fragment, eol)]
      : [modified(text, fragment, eol)]
  return candidates.find((candidate) => isDeepStrictEqual(parseIfValid(candidate, format), goal))
}

function appended(text: string, fragment: Fragment, eol: string): string {
  const block = ['', ...showFragments([fragment], 'toml').split('\n'), ''].join(eol)
  return text + (text.endsWith('\n') ? '' : eol) + block
}

/**
 * For values of a table that has a header already, which TOML does not allow a second time: after its last line, or if a
 * value of several lines only looks like its end, after the header.
 */
function insertedIntoTable(text: string, fragment: Fragment, eol: string): string[] {
  const [header = '', ...values] = showFragments([fragment], 'toml').split('\n')
  const lines = text.split(eol)
  const start = lines.findIndex((line) => line.replace(/#.*/, '').replaceAll(/\s/g, '') === header) + 1
  if (start === 0) return []
  const length = lines.slice(start).findIndex((line) => /^\s*(?:\[|$)/.test(line))
  const end = length < 0 ? lines.length : start + length
  return [end, start].map((at) => [...lines.slice(0, at), ...values, ...lines.slice(at)].join(eol))
}

function modified(text: string, fragment: Fragment, eol: string): string {
  const formattingOptions = { insertSpaces: !/^\t/m.test(text), tabSize: 2, eol }
  return leavesOf(fragment).reduce((current, { path, value }) => {
    const there = valueAt(parseConfigText(current, 'jsonc'), path)
    const [item] = Array.isArray(value) ? value : []
    const edits =
      Array.isArray(there) && there.length > 0
        ? modify(current, [...path, there.length], item, { formattingOptions })
        : modify(current, path, value, { formattingOptions })
    return applyEdits(current, edits)
  }, text)
}

function leavesOf(fragment: Fragment, above: readonly string[] = []): { path: string[]; value: Value }[] {
  return Object.entries(fragment).flatMap(([key, value]) => {
    const path = [...above, key]
    return isFragment(value) ? leavesOf(value, path) : [{ path, value }]
  })
}

function isFragment(value: Value): value is Fragment {
  return isRecord(value)
}

function valueAt(config: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>((value, key) => (isRecord(value) ? value[key] : undefined), config)
}

/** What is there stays: where the fragment has another value than the configuration, the configuration's counts. */
function merged(config: unknown, fragment: unknown): unknown {
  if (config === undefined) return fragment
  if (Array.isArray(config) && Array.isArray(fragment)) return [...config, ...fragment]
  if (!isRecord(config) || !isRecord(fragment)) return config
  const added = Object.entries(fragment).map(([key, value]) => [key, merged(config[key], value)])
  return { ...config, ...Object.fromEntries(added) }
}

function parseIfValid(text: string, format: ConfigFormat): unknown {
  try {
    return plain(parseConfigText(text, format))
  } catch {
    return undefined
  }
}

/** As JSON has it, so that two configurations are equal whatever the parsers' objects inherit from. */
function plain(config: unknown): unknown {
  return JSON.parse(JSON.stringify(config))
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
