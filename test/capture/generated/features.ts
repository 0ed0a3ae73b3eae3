// What the generator may make. Each feature is a kind of case; those that capture does not stand up to yet are off in
// `npm test`, and are turned on here one by one as it does.

/** In the order of the kinds A to K that other tools' bug reports taught, and of what was found since. */
const FEATURES = {
  /** A: texts that look like the markers of the encoding, in columns of JSON beside BLOBs. */
  markers: true,
  /**
   * B: `changes()` and `last_insert_rowid()` are compared, and statements use them. On in `npm test`, and off in `npm run model`,
   * where statements that use them after one of the documented exceptions still count as findings.
   */
  counters: false,
  /** B: so is `total_changes()`. */
  totalChanges: false,
  /** C: triggers newer than capture that write the row they fire for, delete it, or end the statement for it. */
  lateTriggers: true,
  /** C: foreign keys to the table itself whose actions write the row that a statement writes. */
  selfReferences: true,
  /** D: after a wake, changes of the schema and writes before `capture` is called. */
  wakeMigrations: true,
  /** D: after a wake, `capture` is not called any more. */
  forgottenCapture: true,
  /** D: a captured table takes another name. */
  renamedTables: true,
  /** D: several statements in one text, some of which change the schema. */
  schemaInText: true,
  /** E: NOCASE and RTRIM, for columns and for keys. */
  collations: true,
  /** F: keys of REAL, and of no type that hold 1 beside '1' and x'31'; texts in keys that are not UTF-8. */
  oddKeys: true,
  /** F: a column named `rowid`. */
  rowidColumns: true,
  /** G: snapshots of tables WITHOUT ROWID, whatever their keys. */
  keyedSnapshots: true,
  /** H: `deleteAll`, and the tables again. */
  emptied: true,
  /** I: texts that hold a NUL, or spell one. */
  nul: true,
  /** I: rows from before capture whose keys no event can carry. */
  badKeys: true,
  /** J: JSON too deep for an event, and halves of surrogate pairs. */
  jsonLimits: true,
  /** K: the clock steps back over the end of a life. */
  clock: true,
  /** L: tables are dropped after events were sent, in one life of the object. */
  dropsAfterSends: true,
  /** The user sets `recursive_triggers`. */
  usersRecursion: true,
  /** Rows of up to 2 MB. */
  largeRows: true,
  /** Reals of 17 digits at both ends of what a double holds. */
  extremeReals: true,
  /** Texts that are not UTF-8, outside of keys. */
  brokenText: true,
}

type FeatureName = keyof typeof FEATURES
export type Features = Readonly<Record<FeatureName, boolean>>

/** Which features a list names: `all`, or those of `npm test` with `+these` and without `-those`. */
export function featuresOf(list: string | undefined): Features {
  const features: Record<FeatureName, boolean> = { ...FEATURES }
  const names = Object.keys(FEATURES).filter(isFeature)
  for (const word of (list ?? '').split(',').filter((each) => each !== '')) {
    const [, sign, name = ''] = /^([+-]?)(.*)$/.exec(word) ?? []
    if (name !== 'all' && !isFeature(name))
      throw new Error(`there is no feature ${name}; there are ${names.join(', ')}`)
    for (const each of names) if (name === 'all' || each === name) features[each] = sign !== '-'
  }
  return features
}

function isFeature(name: string): name is FeatureName {
  return Object.hasOwn(FEATURES, name)
}
