// What the generator may make. Each feature is a kind of case; those that capture does not stand up to yet are off in
// `npm test`, and are turned on here one by one as it does.

/** In the order of the kinds A to K that other tools' bug reports taught, and of what was found since. */
const FEATURES = {
  /** A: texts that look like the markers of the encoding, in columns of JSON beside BLOBs. */
  markers: false,
  /** B: `changes()` and `last_insert_rowid()` are compared, and statements use them. */
  counters: false,
  /** B: so is `total_changes()`. */
  totalChanges: false,
  /** C: triggers newer than capture that write the row they fire for, delete it, or end the statement for it. */
  lateTriggers: false,
  /** C: foreign keys to the table itself whose actions write the row that a statement writes. */
  selfReferences: false,
  /** D: after a wake, changes of the schema and writes before `capture` is called. */
  wakeMigrations: false,
  /** D: after a wake, `capture` is not called any more. */
  forgottenCapture: false,
  /** D: a captured table takes another name. */
  renamedTables: false,
  /** D: several statements in one text, some of which change the schema. */
  schemaInText: false,
  /** E: NOCASE and RTRIM, for columns and for keys. */
  collations: false,
  /** F: keys of REAL, and of no type that hold 1 beside '1' and x'31'; texts in keys that are not UTF-8. */
  oddKeys: false,
  /** F: a column named `rowid`. */
  rowidColumns: false,
  /** G: snapshots of tables WITHOUT ROWID, whatever their keys. */
  keyedSnapshots: false,
  /** H: `deleteAll`, and the tables again. */
  emptied: false,
  /** I: texts that hold a NUL, or spell one. */
  nul: false,
  /** I: rows from before capture whose keys no event can carry. */
  badKeys: false,
  /** J: JSON too deep for an event, and halves of surrogate pairs. */
  jsonLimits: false,
  /** K: the clock steps back over the end of a life. */
  clock: false,
  /** L: tables are dropped after events were sent, in one life of the object. */
  dropsAfterSends: false,
  /** A trigger that writes to its own table fires itself only where the user has asked for that. */
  recursion: true,
  /** Reals of 17 digits at both ends of what a double holds. */
  extremeReals: false,
  /** Texts that are not UTF-8, outside of keys. */
  brokenText: false,
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
