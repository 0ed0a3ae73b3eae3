// Takes over a table of a catalog that is not the lake's own, if the lake's database is lost or from an older copy: what the table's
// files hold counts as landed. The table stays as it is, since it is others' too.

import { Contents } from './contents.ts'
import type { Intake } from '../intake/intake.ts'
import { overlaps } from '../intake/ranges.ts'
import type { Run } from '../intake/runs.ts'
import type { RestCatalog } from '../rest/rest-catalog.ts'
import type { Bucket } from '../table/bucket.ts'
import { parseLocation } from '../table/location.ts'
import { SnapshotFiles } from '../table/snapshot-files.ts'
import type { TableState } from '../table/table-state.ts'
import { ownSnapshotOf } from '../table/watermarks.ts'
import type { PreparedManifest } from '../iceberg/commit.ts'
import { currentSnapshot } from '../iceberg/metadata.ts'
import type { Fault } from './named-files.ts'
import { countMissing, describeDifference, identify, type RecoverOutcome } from './recover.ts'
import { listKeys } from './table-bucket.ts'

export interface AdoptPorts {
  readonly bucket: Bucket
  readonly catalog: RestCatalog
  readonly state: TableState
  readonly intake: Intake
  readonly sync: () => Promise<void>
  readonly now: () => number
}

export async function adopt(isDryRun: boolean, ports: AdoptPorts): Promise<RecoverOutcome> {
  const { bucket, catalog, state, intake, sync, now } = ports
  const { metadata, path } = await catalog.claim()
  const location = parseLocation(metadata.location)
  const snapshotFiles = new SnapshotFiles(bucket, location)
  const manifests: PreparedManifest[] = []
  for (const manifest of await snapshotFiles.manifests(metadata))
    manifests.push(await snapshotFiles.withFiles(manifest, metadata))
  const table = { bucket, root: location.root, prefix: location.prefix }
  const present = new Set(await listKeys(table, 'data/'))
  const known = intake.allLanded()
  const contents = new Contents(known)
  const faults: Fault[] = []
  const files = manifests.flatMap((manifest) => manifest.files)
  for (const file of files) await identify(table, file, { faults, present, contents })
  const lost = countMissing(known, contents.landed)
  const unknown = countMissing(contents.landed, known)
  const own = ownSnapshotOf(metadata)
  const isOther = own !== state.snapshots().own || metadata['table-uuid'] !== state.pinned()?.uuid
  const { version: stateVersion } = state.pointer()
  const version = metadata['last-sequence-number']
  const outcome = {
    faults,
    ...((isOther || lost + unknown > 0) && {
      disagreement: [
        ...(isOther ? ['the last commit of the table is not the last that the lake knows'] : []),
        describeDifference(lost, unknown),
      ].join('; '),
    }),
    stateVersion,
    tableVersion: version,
    keptFiles: files.length,
    rescuedEvents: 0,
    events: contents.rows,
    lostEvents: lost,
  }
  if (isDryRun || !('disagreement' in outcome)) return { ...outcome, version: stateVersion, isDone: false }
  await catalog.checkBucket(path, metadata.location)
  intake.transaction(() => {
    state.beginAnew({ uuid: metadata['table-uuid'], location: metadata.location }, { own, events: contents.rows })
    const id = currentSnapshot(metadata)?.['snapshot-id']
    state.takeOver({ id, version, manifestKeys: manifests.map(({ key }) => key), added: manifests }, now())
    intake.adopt(contents)
    const keys = new Set(files.map(({ key }) => key))
    const hasLanded = ({ log, first, last }: Run) => overlaps(contents.landed.get(log) ?? [], { first, last })
    // An offer lands as a whole.
    intake.dropOffers(({ runs, files }) => runs.some(hasLanded) || files.some(({ key }) => keys.has(key)))
  })
  await sync()
  return { ...outcome, version, isDone: true }
}
